// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// The known workers; see ``/ErrandCore/JobStore/workers()``.
    public func workers() async throws -> [WorkerRecord] {
        try await perform { () throws(StoreError) in try await knownWorkers() }
    }

    func knownWorkers() async throws(StoreError) -> [WorkerRecord] {
        let all = [["HGETALL", "w"], ["HGETALL", "s"]].map { $0.map { ByteBuffer(string: $0) } }
        let found = try await fetch(all).answers.map { $0.elements ?? [] }
        var seen: [ByteBuffer: Timestamp] = [:]
        for index in stride(from: 0, to: found[1].count - 1, by: 2) {
            if let id = found[1][index].buffer { seen[id] = try Self.instant(found[1][index + 1]) }
        }
        var said: [(id: ByteBuffer, bytes: ByteBuffer)] = []
        for index in stride(from: 0, to: found[0].count - 1, by: 2) {
            if let id = found[0][index].buffer, let bytes = found[0][index + 1].buffer { said.append((id, bytes)) }
        }
        let sizes = said.map { [ByteBuffer(string: "SCARD"), RedisWriter.part("h:", $0.id)] }
        let counts = said.isEmpty ? [] : try await fetch(sizes).answers
        var workers: [WorkerRecord] = []
        for (worker, count) in zip(said, counts) {
            guard let id = WorkerID(bytes: worker.id.readableBytesView) else { throw StoreError.unreadable }
            workers.append(
                try WorkerRecord(
                    id,
                    stored: worker.bytes,
                    lastSeen: seen[worker.id],
                    running: Int(count.integer ?? 0)
                )
            )
        }
        return workers.sorted { ($0.startedAt, $0.registration.id) < ($1.startedAt, $1.registration.id) }
    }

    /// The pauses that hold now; see ``/ErrandCore/JobStore/pauses()``.
    public func pauses() async throws -> [Pause] {
        try await perform { () throws(StoreError) in
            let (now, pauses) = try await storedPauses()
            return pauses.filter { $0.until.map { $0 > now } ?? true }
                .sorted { ($0.since, $0.scope.words) < ($1.since, $1.scope.words) }
        }
    }

    func storedPauses() async throws(StoreError) -> (now: Timestamp, pauses: [Pause]) {
        let found = try await fetch([["HGETALL", "p"].map { ByteBuffer(string: $0) }])
        let words = found.answers.first?.elements ?? []
        var pauses: [Pause] = []
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            guard let field = words[index].text, let bytes = words[index + 1].buffer else {
                throw StoreError.unreadable
            }
            pauses.append(try Pause(field: field, stored: bytes))
        }
        return (found.now, pauses)
    }

    /// The newest audit lines; see ``/ErrandCore/JobStore/audit(limit:)``.
    ///
    /// The newest 10,000 are kept.
    public func audit(limit: Int) async throws -> [AuditEntry] {
        try await perform { () throws(StoreError) in
            guard limit > 0 else { return [] }
            let range = ["LRANGE", "y", "0", String(min(limit, 10_000) - 1)].map { ByteBuffer(string: $0) }
            var lines: [AuditEntry] = []
            for value in try await fetch([range]).answers.first?.elements ?? [] {
                if let bytes = value.buffer { lines.append(try AuditEntry(stored: bytes)) }
            }
            return lines
        }
    }

    /// Pauses and resumes; see ``/ErrandCore/JobStore/setControls(_:)``.
    public func setControls(_ changes: [ControlChange]) async throws {
        guard !changes.isEmpty else { return }
        try await perform { () throws(StoreError) in
            while true {
                let (now, before) = try await storedPauses()
                var there = Set(before.map(\.scope))
                var writes: [RedisWrite] = []
                for change in changes { writes += Self.writes(of: change, there: &there, at: now) }
                if writes.isEmpty { break }
                var effects = RedisEffects()
                effects.controls = true
                for message in RedisMessage.all(of: effects, origin: origin) {
                    writes.append(RedisWrite(ByteBuffer(string: "S"), message))
                }
                // A pause that came or went meanwhile decides whether a line is written.
                let conditions = before.map { pause in
                    (hash: "p", field: ByteBuffer(string: Pause.field(of: pause.scope)), value: pause.bytes)
                }
                if try await write(writes, conditions: conditions, decidedAt: now) { break }
            }
            hub.publish(.controls)
        }
    }

    private static func writes(
        of change: ControlChange,
        there: inout Set<Pause.Scope>,
        at now: Timestamp
    ) -> [RedisWrite] {
        switch change {
        case .pause(let scope, let actor, let reason, let lasting):
            there.insert(scope)
            let until = lasting.map { now + $0 }
            let pause = Pause(scope: scope, actor: actor, reason: reason, since: now, until: until)
            let field = ByteBuffer(string: Pause.field(of: scope))
            let line = AuditEntry(
                at: now,
                actor: actor,
                action: "pause",
                target: scope.words,
                reason: reason,
                changed: 0
            )
            return [RedisWrite(ByteBuffer(string: "HSET"), ByteBuffer(string: "p"), field, pause.bytes)]
                + RedisWrite.audit(line)
        case .resume(let scope, let actor, let reason):
            guard there.remove(scope) != nil else { return [] }
            let line = AuditEntry(
                at: now,
                actor: actor,
                action: "resume",
                target: scope.words,
                reason: reason,
                changed: 0
            )
            return [RedisWrite.resume(scope)] + RedisWrite.audit(line)
        }
    }
}

extension RedisWrite {
    /// Ends a pause.
    static func resume(_ scope: Pause.Scope) -> RedisWrite {
        RedisWrite(
            ByteBuffer(string: "HDEL"),
            ByteBuffer(string: "p"),
            ByteBuffer(string: Pause.field(of: scope))
        )
    }
}
