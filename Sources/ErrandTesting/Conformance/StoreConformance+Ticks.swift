// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let tickCases: [Case] = [
        Case("a decision, its job and the schedule are stored together, and the job runs like any other") { bench in
            let worker = try await bench.worker()
            let record = try await bench.add(bench.schedule("a"))
            let later = bench.job("call", start: .at(bench.now + .seconds(5)))
            let entries = [
                bench.run(record, .zero, bench.job()), bench.run(record, .seconds(1), later),
                .init(bench.row(record, .seconds(2), .coalesced, key: TickKey(rawValue: "2..9"), through: .seconds(9))),
            ]
            let change = bench.change(record, entries) { $0.runs = 2 }
            bench.equal(try await bench.store.changeSchedules([change]), [.stored(entries.map(\.row))], "the answer")
            bench.equal(try await bench.standing("a").record, change.record, "the schedule")
            bench.equal(try await bench.rows("a", .zero ... .seconds(2)), entries.map(\.row).reversed(), "the rows")
            let claimed = try await bench.claim(worker).jobs
            bench.equal(claimed.map(\.record.id), entries[0].job.map { [$0.id] } ?? [], "claimed")
            bench.equal(try await bench.state(later.id), .scheduled, "the later one")
        },
        Case("a key is decided once: a second entry for it is left out, with its job") { bench in
            let record = try await bench.add(bench.schedule("a"))
            let first = bench.change(record, [bench.run(record, .zero, bench.job())])
            _ = try await bench.store.changeSchedules([first])
            let again = bench.run(record, .zero, bench.job())
            let new = bench.run(record, .seconds(1), bench.job())
            let second = bench.change(try bench.need(first.record), [again, new])
            bench.equal(try await bench.store.changeSchedules([second]), [.stored([nil, new.row])], "the answer")
            let ids = [first.entries[0].job?.id, again.job?.id, new.job?.id].compactMap { $0 }
            let stored = try await bench.store.jobs(ids, parts: []).map(\.id)
            bench.equal(stored, [ids[0], ids[2]], "the jobs")
            bench.equal(try await bench.rows("a", .zero ... .zero), [first.entries[0].row], "the row")
        },
        Case("an entry that replaces takes the place of the row, or is the first") { bench in
            let record = try await bench.add(bench.schedule("a"))
            let waiting = bench.change(record, [.init(bench.row(record, .zero, .queued))])
            _ = try await bench.store.changeSchedules([waiting])
            var started = bench.run(record, .zero, bench.job())
            var other = bench.run(record, .seconds(1), bench.job())
            (started.replaces, other.replaces) = (true, true)
            let change = bench.change(try bench.need(waiting.record), [started, other])
            bench.equal(
                try await bench.store.changeSchedules([change]),
                [.stored([started.row, other.row])],
                "the answer"
            )
            bench.equal(try await bench.rows("a", .zero ... .hours(1)), [other.row, started.row], "the rows")
        },
        Case("a job whose own unique key is taken makes its row a duplicate or a refusal") { bench in
            let rule = UniqueRule(key: "k", scope: .untilDone, conflict: .returnExisting)
            let strict = UniqueRule(key: "k", scope: .untilDone, conflict: .throwError)
            let holder = try await bench.put(bench.job(unique: rule))
            let record = try await bench.add(bench.schedule("a"))
            let joined = bench.run(record, .zero, bench.job(unique: rule))
            let refused = bench.run(record, .seconds(1), bench.job(unique: strict))
            let bad = bench.run(record, .seconds(2), bench.job(JobName("")))
            let good = bench.run(record, .seconds(3), bench.job())
            let change = bench.change(record, [joined, refused, bad, good])
            guard case .stored(let rows) = try await bench.store.changeSchedules([change]).first else {
                return bench.expect(false, "the change was stale")
            }
            bench.equal(rows.map { $0?.decision }, [.duplicate, .refused, .refused, .enqueued], "the decisions")
            bench.equal(rows.map { $0?.job }, [holder, nil, nil, good.job?.id], "the jobs")
            bench.equal(try await bench.rows("a", .zero ... .hours(1)), rows.compactMap { $0 }.reversed(), "the rows")
            bench.equal(try await bench.store.counts().count(.ready), 2, "ready jobs")
        },
        Case("a schedule is read with the state of the jobs it may wait for") { bench in
            let worker = try await bench.worker()
            let done = bench.job()
            let waiting = bench.job("call", start: .at(bench.now + .hours(1)))
            let record = try await bench.add(bench.schedule("a"))
            let change = bench.change(
                record,
                [bench.run(record, .zero, done), bench.run(record, .seconds(1), waiting)]
            ) { record in
                record.unfinished = [done.id, waiting.id, bench.id()]
                    .map {
                        ScheduledJob(id: $0, nominal: bench.now)
                    }
            }
            _ = try await bench.store.changeSchedules([change])
            let lease = try bench.need(try await bench.claim(worker).jobs.first, "a claim").lease
            bench.equal(try await bench.standing("a").jobs[done.id]?.state, .running, "while it runs")
            bench.clock.advance(by: .seconds(3))
            try await bench.ends(lease, .success, as: .succeeded)
            let wanted: [JobID: ScheduleStanding.JobEnd] = [
                done.id: .init(state: .succeeded, finishedAt: bench.now), waiting.id: .init(state: .scheduled),
            ]
            bench.equal(try await bench.standing("a").jobs, wanted, "by name")
            bench.equal(try await bench.store.schedules(.due(limit: 9)).schedules.first?.jobs, wanted, "as due")
            bench.equal(try await bench.store.schedules(.page(limit: 9)).schedules.first?.jobs, wanted, "in a list")
        },
        Case("rows are found by the nominal times they touch, newest first, page after page, and by key") { bench in
            let record = try await bench.add(bench.schedule("a"))
            let other = try await bench.add(bench.schedule("b"))
            let range = bench.row(record, .seconds(1), .coalesced, key: TickKey(rawValue: "r"), through: .seconds(6))
            let singles = [0, 7, 8, 9].map { bench.row(record, .seconds($0)) }
            let manual = bench.row(record, .seconds(8), .skippedByCode, key: .trigger("a b"))
            let entries = (singles + [range, manual]).map { ScheduleChange.Entry($0) }
            _ = try await bench.store.changeSchedules([
                bench.change(record, entries), bench.change(other, [.init(bench.row(other, .seconds(7)))]),
            ])
            bench.equal(try await bench.rows("a", .seconds(3) ... .seconds(4)), [range], "within a range")
            bench.equal(try await bench.rows("a", .seconds(6) ... .seconds(7)), [singles[1], range], "at its end")
            let all = [singles[3], manual, singles[2], singles[1], range, singles[0]]
            bench.equal(try await bench.rows("a", .seconds(-9) ... .hours(1)), all, "all")
            var seen: [TickRecord] = []
            let span = bench.now...(bench.now + .hours(1))
            for _ in all.indices {
                let request = TickRequest("a", .span(span, after: seen.last), limit: 1)
                seen += try await bench.store.ticks(request)
            }
            bench.equal(seen, all, "one by one")
            bench.equal(
                try await bench.store.ticks(TickRequest("a", .span(span, after: seen.last), limit: 1)),
                [],
                "the end"
            )
            let keys: [TickKey] = [.trigger("a b"), .tick(bench.now + .seconds(7)), .trigger("c")]
            let found = try await bench.store.ticks(TickRequest("a", .keys(keys)))
            bench.equal(Set(found), [manual, singles[1]], "by key")
        },
        Case("decisions are kept for thirty days and then deleted, and so are schedules that are complete") { bench in
            let record = try await bench.add(bench.schedule("a"))
            try await bench.add(bench.schedule("done", due: nil) { $0.state = .completed })
            try await bench.add(bench.schedule("out", due: nil) { $0.state = .retired })
            let old = bench.change(record, [.init(bench.row(record, .zero)), .init(bench.row(record, .seconds(1)))])
            _ = try await bench.store.changeSchedules([old])
            bench.clock.advance(by: .days(1))
            var again = bench.row(record, .days(-1))
            again.decision = .enqueued
            let young = bench.change(try bench.need(old.record), [.init(again, replaces: true)])
            _ = try await bench.store.changeSchedules([young])
            bench.clock.advance(by: ScheduleRecord.kept - .days(1) - .microseconds(1))
            _ = try await bench.sweepAll()
            bench.equal(try await bench.rows("a", .days(-60) ... .zero).count, 2, "rows before their time")
            bench.equal(try await bench.store.schedules(.page(limit: 9)).schedules.count, 3, "schedules")
            bench.clock.advance(by: .microseconds(1))
            _ = try await bench.sweepAll()
            bench.equal(try await bench.rows("a", .days(-60) ... .zero), [again], "rows after it")
            let left = try await bench.store.schedules(.page(limit: 9)).schedules.map(\.record.id)
            bench.equal(left, ["a"], "schedules after it")
        },
        Case("of clients that decide the same tick at once one does") { bench in
            let record = try await bench.add(bench.schedule("a"))
            let changes = (0..<8).map { _ in bench.change(record, [bench.run(record, .zero, bench.job())]) }
            let store = bench.store
            let answers = try await withThrowingTaskGroup(of: [ScheduleChangeAnswer].self) { group in
                for change in changes { group.addTask { try await store.changeSchedules([change]) } }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            bench.equal(answers.count { $0 == .stale }, 7, "stale answers")
            bench.equal(try await store.counts().count(.ready), 1, "jobs")
            bench.equal(try await bench.rows("a", .zero ... .zero).count, 1, "rows")
        },
    ]
}

extension StoreBench {
    /// Sweeps until nothing is left to do.
    fileprivate func sweepAll() async throws {
        for _ in 0..<100 where try await store.maintain(.sweep).hasMore {}
    }
}
