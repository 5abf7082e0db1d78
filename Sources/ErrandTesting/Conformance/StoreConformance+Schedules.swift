// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

extension StoreConformance {
    static let scheduleCases: [Case] = [
        Case("a schedule comes back as it was stored") { bench in
            let plain = try await bench.add(bench.schedule("plain"))
            let full = bench.schedule("full.of-things_1") { record in
                record.definition.policy = .with {
                    ($0.catchUp, $0.overlap, $0.jitter) = (.all(max: 7), .queueAll(max: 3), .milliseconds(1500))
                    ($0.catchUpWindow, $0.expiresAfter) = (.hours(1), .seconds(90))
                }
                record.override = .every(.hours(2)).limited(to: 9)
                record.state = .paused
                record.pause = SchedulePause(
                    actor: "ada",
                    note: "a\u{0}b 'q' é",
                    since: bench.now,
                    until: bench.now + .hours(1)
                )
                (record.reason, record.failures, record.runs, record.skips, record.waits) = ("gone", 3, 4, 2, 1)
                record.decisions = [.enqueued: 4, .coalesced: 70_000]
                record.unfinished = [ScheduledJob(id: bench.id(), nominal: bench.now)]
                record.queued = [bench.now, bench.now + .seconds(1)]
                record.isCatchingUp = true
                record.backfills = [
                    ScheduleBackfill(token: "t", position: .epoch, end: bench.now, width: 2, isRerun: true)
                ]
            }
            try await bench.add(full)
            bench.equal(try await bench.standing("plain"), ScheduleStanding(record: plain), "the plain one")
            bench.equal(try await bench.standing(full.id), ScheduleStanding(record: full), "the full one")
            let answer = try await bench.store.schedules(.ids([full.id, "unknown", "plain"]))
            bench.equal(answer.schedules.map(\.record.id), [full.id, "plain"], "the order asked for")
            bench.equal(answer.at, bench.now, "store time")
        },
        Case("a change of a schedule that is not as its maker saw it does nothing") { bench in
            let record = try await bench.add(bench.schedule("a"))
            let job = bench.job()
            let wrong = [
                ScheduleChange(id: "a", expected: 0, record: record),
                bench.change(bench.schedule("a") { $0.version = 2 }, [bench.run(record, .zero, job)]),
                bench.change(bench.schedule("b"), [bench.run(record, .zero, job)]),
                ScheduleChange(id: "b", expected: 3, record: nil),
            ]
            bench.equal(try await bench.store.changeSchedules(wrong), wrong.map { _ in .stale }, "the answers")
            bench.equal(try await bench.standing("a").record, record, "the schedule")
            bench.equal(try await bench.store.jobs([job.id], parts: []).count, 0, "its jobs")
            bench.equal(try await bench.rows("a", .zero ... .hours(1)), [], "its rows")
            bench.equal(try await bench.store.audit(limit: 10), [], "the audit")
        },
        Case("each change of a call stands for itself, and a second one of a schedule sees the first") { bench in
            let record = try await bench.add(bench.schedule("a"))
            let first = bench.change(record) { $0.runs = 1 }
            let second = bench.change(try bench.need(first.record)) { $0.runs = 2 }
            let stale = bench.change(record) { $0.runs = 9 }
            let other = ScheduleChange(id: "b", expected: 0, record: bench.schedule("b"))
            let answers = try await bench.store.changeSchedules([first, stale, second, other])
            bench.equal(answers, [.stored([]), .stale, .stored([]), .stored([])], "the answers")
            bench.equal(try await bench.standing("a").record.runs, 2, "the runs")
            bench.equal(try await bench.standing("b").record.id, "b", "the other")
        },
        Case("a deleted schedule is gone and its name free; its rows stay") { bench in
            let record = try await bench.add(bench.schedule("a"))
            let row = bench.row(record, .zero)
            let gone = ScheduleChange(id: "a", expected: 1, record: nil, entries: [.init(row)])
            bench.equal(try await bench.store.changeSchedules([gone]), [.stored([row])], "the answer")
            bench.equal(try await bench.due(), [], "due")
            bench.equal(try await bench.store.schedules(.page(limit: 9)).schedules, [], "all")
            bench.equal(try await bench.rows("a", .zero ... .zero), [row], "rows")
            try await bench.add(bench.schedule("a"))
        },
        Case("schedules are due by time and then by name, page after page, and the next one is named") { bench in
            for (id, due) in [("c", 0), ("a", 0), ("b", -5), ("d", 60), ("e", 90)] {
                try await bench.add(bench.schedule(ScheduleID(id), due: .seconds(due)))
            }
            try await bench.add(bench.schedule("never", due: nil))
            bench.equal(try await bench.due(), ["b", "a", "c"], "due")
            let page = try await bench.store.schedules(.due(limit: 2))
            bench.equal(page.schedules.map(\.record.id), ["b", "a"], "the first page")
            bench.equal(page.nextDue, bench.now + .seconds(60), "the next")
            let mark = ScheduleMark(dueAt: bench.now, id: "a")
            bench.equal(try await bench.due(limit: 2, after: mark), ["c"], "the second page")
            bench.clock.advance(by: .seconds(60) - .microseconds(1))
            bench.equal(try await bench.due(), ["b", "a", "c"], "just before the next")
            bench.clock.advance(by: .microseconds(1))
            bench.equal(try await bench.due(), ["b", "a", "c", "d"], "at the next")
            let record = try await bench.standing("b").record
            _ = try await bench.store.changeSchedules([bench.change(record) { $0.dueAt = nil }])
            bench.equal(try await bench.due(), ["a", "c", "d"], "after one was put off for good")
        },
        Case("a schedule whose cursor is ahead of the clock by more than is tolerated is due") { bench in
            let edge = ScheduleRecord.clockTolerance
            for (id, ahead) in [("far", edge + .microseconds(1)), ("near", edge)] {
                try await bench.add(
                    bench.schedule(ScheduleID(id), due: .days(700)) { $0.cursor = bench.now + ahead }
                )
            }
            try await bench.add(bench.schedule("over", due: nil) { $0.cursor = bench.now + .days(700) })
            bench.equal(try await bench.due(), ["far"], "due")
        },
        Case("all schedules are read by name, page after page") { bench in
            for id in ["b", "a.2", "a", "a-1", "c"] { try await bench.add(bench.schedule(ScheduleID(id))) }
            var seen: [ScheduleID] = []
            while true {
                let page = try await bench.store.schedules(.page(after: seen.last, limit: 2)).schedules
                if page.isEmpty { break }
                bench.expect(page.count <= 2, "a page of \(page.count)")
                seen += page.map(\.record.id)
            }
            bench.equal(seen, ["a", "a-1", "a.2", "b", "c"], "all")
        },
        Case("a change leaves its line in the audit and wakes schedulers when it says so") { bench in
            let heard = Mutex<Int>(0)
            let registration = bench.store.hub.subscribe { signal in
                if signal == .controls { heard.withLock { $0 += 1 } }
            }
            defer { registration.cancel() }
            let record = try await bench.add(bench.schedule("a"))
            var change = bench.change(record)
            change.audit = AuditEntry(
                at: bench.now,
                actor: "ada",
                action: "pause schedule",
                target: "schedule a",
                reason: "r",
                changed: 1
            )
            let quiet = heard.withLock { $0 }
            bench.equal(quiet, 0, "signals of a quiet change")
            change.wakesSchedulers = true
            bench.equal(try await bench.store.changeSchedules([change]), [.stored([])], "the change")
            bench.equal(try await bench.store.audit(limit: 10), change.audit.map { [$0] } ?? [], "the audit")
            bench.expect(heard.withLock { $0 } >= 1, "no signal")
        },
        Case("a hundred schedules change at once") { bench in
            let records = (0..<100).map { bench.schedule(ScheduleID("s\($0)")) }
            let inserts = records.map { ScheduleChange(id: $0.id, expected: 0, record: $0) }
            _ = try await bench.store.changeSchedules(inserts)
            let changes = records.map { record in
                bench.change(record, [bench.run(record, .zero, bench.job())]) { $0.dueAt = bench.now + .hours(1) }
            }
            let answers = try await bench.store.changeSchedules(changes)
            bench.equal(answers, changes.map { .stored($0.entries.map(\.row)) }, "the answers")
            bench.equal(try await bench.store.counts().count(.ready), 100, "ready jobs")
            bench.equal(try await bench.due(limit: 200), [], "due")
        },
    ]

    static let scheduleReopenCases: [Case] = [
        Case("schedules and decisions are there after the store was closed and opened", needsReopen: true) { bench in
            let record = try await bench.add(bench.schedule("a"))
            let change = bench.change(record, [bench.run(record, .zero, bench.job())])
            _ = try await bench.store.changeSchedules([change])
            try await bench.reopen()
            bench.equal(try await bench.standing("a").record, change.record, "the schedule")
            bench.equal(try await bench.rows("a", .zero ... .zero), change.entries.map(\.row), "its rows")
        }
    ]
}
