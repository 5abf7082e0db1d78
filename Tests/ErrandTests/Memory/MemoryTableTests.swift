// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Testing

@testable import Errand

@Suite("Memory table")
struct MemoryTableTests {
    @Test("a store that is let go leaves no row behind, ready or running")
    func untied() throws {
        var generator = SeededGenerator(seed: 1)
        weak var ready: MemoryRow?
        weak var running: MemoryRow?
        do {
            var table = MemoryTable()
            let worker = WorkerID(at: .epoch, using: &generator)
            let said = WorkerRegistration(id: worker, host: "", pid: 1, version: "", names: ["n": 1], slots: [:])
            table.workers[worker] = MemoryWorker(said, at: .epoch)
            for _ in 0..<2 {
                let id = JobID(at: .epoch, using: &generator)
                let payload = Payload(bytes: [], format: .json, version: 1)
                _ = table.insert([NewJob(id: id, name: "n", payload: payload)], offer: nil, at: .epoch)
            }
            let queues = [ClaimRequest.Queue(name: .default, slots: 1)]
            let request = ClaimRequest(worker: worker, names: ["n": 1], queues: queues, limit: 1)
            let claimed = try #require(try table.claim(request, at: .epoch).jobs.first)
            running = table.rows[claimed.record.id]
            ready = table.rows.values.first { $0.record.state == .ready }
            #expect(running != nil && ready != nil)
            table.untie()
        }
        #expect(running == nil && ready == nil)
    }
}
