// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore

extension StoreConformance {
    /// Jobs leave.
    static let moveCases: [Case] = [
        Case("everything moves to another store and back, row for row") { bench in
            try await bench.fill()
            let before = try await StoreContents(of: bench.store)
            let memory = MemoryStore(clock: bench.clock)
            let away = try await bench.transfer(from: bench.store, to: memory).run()
            bench.equal(away.jobs, before.jobs.count, "jobs that moved")
            bench.equal(away.left, 0, "jobs left")
            bench.equal(try await bench.store.counts().rows, [], "counts of the source")
            bench.equal(try await bench.all().count, 0, "jobs in the list of the source")
            for difference in before.differences(from: try await StoreContents(of: memory)) {
                bench.expect(false, "away: \(difference)")
            }
            try await bench.store.setControls([
                .resume(.queue("other"), actor: "ada", reason: "test"),
                .resume(.name("call"), actor: "ada", reason: "test"),
            ])
            _ = try await bench.transfer(from: bench.store, to: memory).run()
            let there = try await StoreContents(of: memory)
            let back = try await bench.transfer(from: memory, to: bench.store).run()
            bench.equal(back.jobs, before.jobs.count, "jobs that came back")
            for difference in there.differences(from: try await StoreContents(of: bench.store)) {
                bench.expect(false, "back: \(difference)")
            }
            bench.equal(try await bench.store.maintain(.recount).affected, 0, "counts that were wrong")
        },
        Case("jobs that moved are claimed in the order in which they would have been") { bench in
            let jobs = (0..<30).map { bench.job(text: "\($0)", priority: JobPriority($0 % 3 + 4)) }
            _ = try await bench.store.insert(jobs, offer: nil)
            let memory = MemoryStore(clock: bench.clock)
            _ = try await bench.transfer(from: bench.store, to: memory).run()
            _ = try await bench.transfer(from: memory, to: bench.store).run()
            let claimed = try await bench.claim(try await bench.worker()).jobs.map(\.record.id)
            let wanted = jobs.enumerated()
                .sorted { (-$0.element.priority.level, $0.offset) < (-$1.element.priority.level, $1.offset) }
            bench.equal(claimed, wanted.map(\.element.id), "the claimed jobs")
        },
        Case("a job that left is nowhere, and a late repeat of its insert does not bring it back") { bench in
            let worker = try await bench.worker()
            let job = bench.job()
            let id = try await bench.put(job)
            bench.equal(try await bench.export().jobs.map(\.record.id), [id], "the batch")
            bench.equal(try await bench.store.jobs([id], parts: []), [], "the row")
            bench.equal(try await bench.store.counts().rows, [], "the counts")
            bench.equal(try await bench.claim(worker).jobs.count, 0, "claimed jobs")
            let report = try await bench.operate(.cancel, id)
            bench.equal(report.changed, [], "cancelled jobs")
            bench.equal(try await bench.insert(job), .stored(id), "the answer to the repeat")
            bench.equal(try await bench.claim(worker).jobs.count, 0, "claimed jobs after the repeat")
            let running = try await bench.run(on: worker)
            try await bench.settle(running.lease, .success, followUps: [job])
            bench.equal(try await bench.state(id), nil, "the row after a repeat as a follow-up")
            bench.clock.advance(by: .hours(25))
            _ = try await bench.store.maintain(.sweep)
            bench.equal(try await bench.insert(job), .stored(id), "while its batch is open")
            bench.equal(try await bench.state(id), nil, "the row while its batch is open")
            if let open = try await openBatch(of: bench) { try await bench.store.endExport(open.id, as: .arrived) }
            _ = try await bench.store.maintain(.sweep)
            bench.equal(try await bench.insert(job), .stored(id), "the answer a day later")
            bench.equal(try await bench.state(id), .ready, "the row a day later")
        },
        Case("an open batch is answered until it is ended, and to nobody else") { bench in
            let ids = [try await bench.put(bench.job()), try await bench.put(bench.job())]
            let batch = try await bench.export(limit: 1)
            bench.equal(batch.jobs.map(\.record.id), [ids[0]], "the batch")
            bench.equal(try await bench.export(.finished), batch, "the batch again")
            await bench.refuses(.conflict, "another destination") { _ = try await bench.export(to: "elsewhere") }
            try await bench.store.endExport(bench.exportID(), as: .arrived)
            try await bench.store.endExport(bench.exportID(), as: .returned)
            bench.equal(try await bench.export(), batch, "the batch after the end of others")
            try await bench.store.endExport(batch.id, as: .arrived)
            try await bench.store.endExport(batch.id, as: .returned)
            let next = try await bench.export(after: batch.next)
            bench.equal(next.jobs.map(\.record.id), [ids[1]], "the next batch")
            bench.equal(next.next, nil, "where it goes on")
        },
        Case("an open batch survives", needsReopen: true) { bench in
            try await bench.put(bench.job())
            let batch = try await bench.export()
            try await bench.reopen()
            bench.equal(try await bench.export(), batch, "the batch")
        },
        Case("a batch that is returned goes on as before") { bench in
            try await bench.fill()
            let before = try await StoreContents(of: bench.store)
            for part in ExportRequest.Part.allCases {
                let batch = try await bench.export(part, limit: 1000)
                bench.expect(!batch.isEmpty, "no batch of \(part)")
                try await bench.store.endExport(batch.id, as: .returned)
                try await bench.store.endExport(batch.id, as: .returned)
                for difference in before.differences(from: try await StoreContents(of: bench.store)) {
                    bench.expect(false, "\(part): \(difference)")
                }
            }
            bench.expect(try await bench.export(.pending).jobs.count > 5, "what was returned does not go again")
        },
        Case("a batch has as many jobs as asked for, and one that is too large") { bench in
            let large = String(repeating: "x", count: 10_000)
            for _ in 0..<4 { try await bench.put(bench.job(text: large)) }
            let first = try await bench.export(limit: 3)
            bench.equal(first.jobs.count, 3, "jobs of the first")
            try await bench.store.endExport(first.id, as: .returned)
            let second = try await bench.export(byteLimit: 15_000)
            bench.equal(second.jobs.count, 2, "jobs of the second")
            try await bench.store.endExport(second.id, as: .returned)
            let third = try await bench.export(byteLimit: 1)
            bench.equal(third.jobs.count, 1, "jobs of the third")
            bench.expect(third.next != nil, "the third has nothing behind it")
        },
        Case("pending and final jobs go apart, running ones do not go") { bench in
            let worker = try await bench.worker()
            let running = try await bench.run(on: worker)
            let done = try await bench.run(on: worker)
            try await bench.ends(done.lease, .success, as: .succeeded)
            let ready = try await bench.put(bench.job())
            let pending = try await bench.export(.pending)
            bench.equal(pending.jobs.map(\.record.id), [ready], "pending jobs")
            try await bench.store.endExport(pending.id, as: .arrived)
            let finished = try await bench.export(.finished)
            bench.equal(finished.jobs.map(\.record.id), [done.record.id], "final jobs")
            try await bench.store.endExport(finished.id, as: .arrived)
            bench.expect(try await bench.export(.pending).isEmpty, "a running job left")
            bench.equal(try await bench.settle(running.lease, .again(after: .zero)), .applied(.ready), "its end")
            let again = try await bench.export(.pending)
            bench.equal(again.jobs.map(\.record.id), [running.record.id], "the job that ran")
            bench.equal(again.jobs.first?.record.epoch, running.lease.epoch, "its epoch")
            bench.equal(try await bench.settle(running.lease, .success), .leaseLost, "a late write")
        },
        Case("a follow-up goes with the job that it waits for, and stays while that runs") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let holder = try await bench.run(bench.job(unique: rule), on: worker)
            let followUp = try await bench.put(bench.job(unique: rule))
            bench.expect(try await bench.export(.pending).isEmpty, "the follow-up left")
            try await bench.ends(holder.lease, .again(after: .hours(1)), as: .retrying)
            let batch = try await bench.export(.pending, limit: 1)
            bench.equal(batch.jobs.map(\.record.id), [holder.record.id, followUp], "the batch")
            bench.equal(batch.jobs.map(\.key), [.holder, .followUp], "their keys")
            bench.equal(batch.jobs.map(\.record.state), [.retrying, .waiting], "their states")
            let newcomer = bench.job(unique: rule)
            bench.equal(try await bench.insert(newcomer), .stored(newcomer.id), "the key is free")
        },
    ]

    /// The batch that is open; `nil` when a job had to be taken to find out that there was none.
    private static func openBatch(of bench: StoreBench) async throws -> ExportBatch? {
        let batch = try await bench.export(.records, limit: 1)
        return batch.jobs.isEmpty ? nil : batch
    }
}
