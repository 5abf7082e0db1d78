// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Gives back the jobs of workers that were silent, and of those that are no longer in the list at all.
    func rescue(silence: Duration, sparing asking: WorkerID?) async throws(StoreError) -> MaintenanceReport {
        var report = MaintenanceReport()
        let words = [["HGETALL", "s"], ["SMEMBERS", "h"]].map { $0.map { ByteBuffer(string: $0) } }
        // As many as there are workers, not as many as jobs.
        let found = try await fetch(words)
        let (now, answers) = (found.now, Array(found.answers))
        var seen: [WorkerID: ByteBuffer] = [:]
        let beats = answers[0].elements ?? []
        for index in stride(from: 0, to: beats.count - 1, by: 2) {
            if let worker = Self.worker(beats[index].buffer) { seen[worker] = beats[index + 1].buffer }
        }
        var dead: [(worker: WorkerID, seen: ByteBuffer?)] = []
        for (worker, bytes) in seen {
            let lastSeen = Timestamp(microseconds: Int64(String(buffer: bytes)) ?? 0)
            // A beat from the future was written before the clock was set back: it counts from now on.
            if lastSeen > now { try await restart(worker, was: bytes, at: now) }
            if now - lastSeen > silence { dead.append((worker, bytes)) }
        }
        for holder in (answers[1].elements ?? []).compactMap({ Self.worker($0.buffer) }) where seen[holder] == nil {
            dead.append((holder, nil))
        }
        // The one that asks lives: when it is among them, time has jumped and silence proves nothing.
        if dead.contains(where: { $0.worker == asking && $0.seen != nil }) { return report }
        for (worker, beat) in dead.sorted(by: { $0.worker < $1.worker }) where worker != asking {
            if let beat, try await bury(worker, lastSeen: beat) == false { continue }
            report.deadWorkers.append(worker)
            while case let held = try await held(by: worker, most: Self.jobsPerLook), !held.isEmpty {
                guard report.rescued.count < Self.bite else {
                    report.hasMore = true
                    return report
                }
                let (rescued, unreadable) = try await decide(held) { table throws(Missing) in
                    var rescued: [JobID: JobState] = [:]
                    for id in try table.inOrder(held) where try table.row(id)?.record.isRunning(by: worker) == true {
                        rescued[id] = try table.rescue(id)
                    }
                    return (rescued, table.drop(held, from: worker))
                }
                for id in unreadable { try await setAside(id, heldBy: worker) }
                report.rescued.merge(rescued) { _, newer in newer }
            }
            try await forget([ByteBuffer(bytes: worker.bytes)], holder: true)
        }
        return report
    }

    /// Takes a dead worker out of the list, unless it has beaten since.
    ///
    /// After this it claims nothing more, and its next beat tells it that it is taken for dead.
    private func bury(_ worker: WorkerID, lastSeen: ByteBuffer) async throws(StoreError) -> Bool {
        let id = ByteBuffer(bytes: worker.bytes)
        let writes = ["w", "s"].map { RedisWrite(ByteBuffer(string: "HDEL"), ByteBuffer(string: $0), id) }
        return try await write(writes, conditions: [("s", id, lastSeen)])
    }

    private func restart(_ worker: WorkerID, was: ByteBuffer, at now: Timestamp) async throws(StoreError) {
        let id = ByteBuffer(bytes: worker.bytes)
        let write = RedisWrite(
            ByteBuffer(string: "HSET"),
            ByteBuffer(string: "s"),
            id,
            RedisWriter.score(now.microseconds)
        )
        _ = try await self.write([write], conditions: [("s", id, was)])
    }

    private static func worker(_ buffer: ByteBuffer?) -> WorkerID? {
        buffer.flatMap { WorkerID(bytes: $0.readableBytesView) }
    }
}
