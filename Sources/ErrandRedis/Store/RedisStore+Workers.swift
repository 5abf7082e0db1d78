// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Makes a worker known; see ``/ErrandCore/JobStore/register(_:)``.
    ///
    /// Rescues nobody: only silence tells of a death here.
    public func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport {
        try await perform { () throws(StoreError) in
            let id = ByteBuffer(bytes: worker.id.bytes)
            while true {
                let found = try await fetch([["HGET", "w"].map { ByteBuffer(string: $0) } + [id]])
                var known = found.answers.first?.buffer
                let was = known ?? ByteBuffer()
                let startedAt = try known?.instant() ?? found.now
                let writes = [
                    RedisWrite(
                        ByteBuffer(string: "HSET"),
                        ByteBuffer(string: "w"),
                        id,
                        worker.bytes(startedAt: startedAt)
                    ),
                    RedisWrite(
                        ByteBuffer(string: "HSET"),
                        ByteBuffer(string: "s"),
                        id,
                        RedisWriter.score(found.now.microseconds)
                    ),
                ]
                if try await write(writes, conditions: [("w", id, was)]) { return MaintenanceReport() }
            }
        }
    }

    /// Removes a worker and gives its jobs back; see ``/ErrandCore/JobStore/retire(_:)``.
    public func retire(_ worker: WorkerID) async throws {
        try await perform { () throws(StoreError) in
            let id = ByteBuffer(bytes: worker.bytes)
            // From now on it claims nothing more, so what it holds only gets less.
            try await forget([id])
            while case let held = try await held(by: worker, most: Self.jobsPerLook), !held.isEmpty {
                let unreadable = try await decide(held) { table throws(Missing) in
                    for job in try table.inOrder(held) where try table.row(job)?.record.isRunning(by: worker) == true {
                        try table.settle(job, .released)
                    }
                    return table.drop(held, from: worker)
                }
                for job in unreadable { try await setAside(job, heldBy: worker) }
            }
            try await forget([id], holder: true)
        }
    }

    /// Keeps a worker alive; see ``/ErrandCore/JobStore/beat(_:)``.
    public func beat(_ beat: Beat) async throws -> BeatAnswer {
        try await perform { () throws(StoreError) in
            let said = try await run(RedisScripts.beat, capacity: 64 * beat.held.count + 128) { command in
                command.append(beat.worker.bytes)
                for lease in beat.held {
                    command.append(lease.job.bytes)
                    command.append(ByteBuffer(integer: lease.epoch))
                }
            }
            guard said.count >= 4, let letters = said[3].buffer else { throw StoreError.oddAnswer }
            var answer = BeatAnswer(isKnown: said[1].integer == 1, at: try Self.instant(said[0]))
            guard answer.isKnown else {
                answer.lost = beat.held
                return answer
            }
            var listed: Set<JobID> = []
            for (lease, letter) in zip(beat.held, letters.readableBytesView) {
                // A lease of another worker is not this one's to hold.
                if letter == UInt8(ascii: "h"), lease.worker == beat.worker {
                    listed.insert(lease.job)
                } else {
                    answer.lost.append(lease)
                }
            }
            for index in stride(from: 4, to: said.count - 1, by: 2) {
                guard let number = said[index].integer, let extras = said[index + 1].buffer,
                    beat.held.indices.contains(Int(number) - 1)
                else { throw StoreError.oddAnswer }
                // Damaged extras must not cost the worker its beat; the job is set aside when it ends.
                if let request = try? JobExtras.cancelRequest(in: extras) {
                    answer.cancels[beat.held[Int(number) - 1].job] = request
                }
            }
            if let accounted = beat.accountedThrough, (said[2].integer ?? 0) > listed.count {
                answer.released = try await releaseOrphans(of: beat, besides: listed, through: accounted)
            }
            return answer
        }
    }

    /// Gives back what is in the worker's name without its knowledge.
    private func releaseOrphans(
        of beat: Beat,
        besides listed: Set<JobID>,
        through accounted: Timestamp
    ) async throws(StoreError) -> Int {
        var released = 0
        let unlisted = try await allHeld(by: beat.worker).subtracting(listed).sorted()
        for some in unlisted.bites(of: Self.jobsPerLook) {
            released += try await decide(Array(some)) { table throws(Missing) in
                var count = 0
                for id in try table.inOrder(Array(some)) {
                    guard let record = try table.row(id)?.record, record.isRunning(by: beat.worker),
                        let start = record.startedAt, beat.accounts(for: start, through: accounted, at: table.now)
                    else { continue }
                    try table.releaseUnlisted(id)
                    count += 1
                }
                return count
            }
        }
        return released
    }

    /// Some jobs in the name of a worker.
    func held(by worker: WorkerID, most: Int) async throws(StoreError) -> [JobID] {
        let key = RedisWriter.part("h:", ByteBuffer(bytes: worker.bytes))
        let words = [ByteBuffer(string: "SRANDMEMBER"), key, ByteBuffer(string: String(most))]
        return Self.ids(try await fetch([words]).answers.first)
    }

    /// All jobs in the name of a worker, a piece at a time.
    private func allHeld(by worker: WorkerID) async throws(StoreError) -> Set<JobID> {
        let key = RedisWriter.part("h:", ByteBuffer(bytes: worker.bytes))
        var (found, step) = (Set<JobID>(), "0")
        repeat {
            let words = [ByteBuffer(string: "SSCAN"), key] + [step, "COUNT", "500"].map { ByteBuffer(string: $0) }
            guard let parts = try await fetch([words]).answers.first?.elements, parts.count == 2,
                let next = parts[0].text
            else { throw StoreError.oddAnswer }
            found.formUnion(Self.ids(parts[1]))
            step = next
        } while step != "0"
        return found
    }

    static func ids(_ value: RESPValue?) -> [JobID] {
        (value?.elements ?? []).compactMap { $0.buffer.flatMap { JobID(bytes: $0.readableBytesView) } }
    }

    /// Takes workers out of the list, and out of that of holders when they hold nothing more.
    func forget(_ workers: [ByteBuffer], holder: Bool = false) async throws(StoreError) {
        var writes: [RedisWrite] = []
        for worker in workers {
            writes.append(RedisWrite(ByteBuffer(string: "HDEL"), ByteBuffer(string: "w"), worker))
            writes.append(RedisWrite(ByteBuffer(string: "HDEL"), ByteBuffer(string: "s"), worker))
            if holder { writes.append(RedisWrite(ByteBuffer(string: "SREM"), ByteBuffer(string: "h"), worker)) }
        }
        _ = try await write(writes, conditions: [])
    }
}

extension JobRecord {
    func isRunning(by worker: WorkerID) -> Bool { state == .running && self.worker == worker }
}

extension RedisTable {
    /// The jobs in the order in which the store took them.
    func inOrder(_ ids: [JobID]) throws(Missing) -> [JobID] {
        var places: [(sequence: Int64, id: JobID)] = []
        for id in ids { places.append((try row(id)?.head.sequence ?? 0, id)) }
        return places.sorted { $0.sequence < $1.sequence }.map(\.id)
    }

    /// Takes jobs that do not run in its name, or are not there, out of a worker's list, where nothing should have put them.
    /// - Returns: Those that cannot be read, which stay in it.
    mutating func drop(_ ids: [JobID], from worker: WorkerID) -> [JobID] {
        let key = RedisWriter.part("h:", ByteBuffer(bytes: worker.bytes))
        for id in ids where unreadable[id] == nil {
            if let row = rows[id] ?? nil, row.before?.record.isRunning(by: worker) == true { continue }
            extras.append(RedisWrite(ByteBuffer(string: "SREM"), key, ByteBuffer(bytes: id.bytes)))
        }
        return ids.filter { unreadable[$0] != nil }
    }
}
