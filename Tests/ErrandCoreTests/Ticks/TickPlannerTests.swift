// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ErrandCore

/// The machine that decides ticks: `C`, `S` and so on stand for the decisions, one letter for each tick.
@Suite("What becomes of ticks")
struct TickPlannerTests {
    /// 5 Mar 2026 09:30 UTC, with a schedule for 02:00 every day that was last decided on 3 Mar at 01:00.
    static let morning = PlannerBench.instant(2026, 3, 5, 9, 30)

    @Test(
        "after an outage the policy decides which ticks run",
        arguments: [
            (SchedulePolicy.CatchUp.latest, ["coalesced x2", "run 5 Mar"]),
            (.earliest, ["run 3 Mar", "coalesced x2"]),
            (.all(max: 100), ["run 3 Mar", "run 4 Mar", "run 5 Mar"]),
            (.all(max: 2), ["skippedMisfire 3 Mar", "run 4 Mar", "run 5 Mar"]),
            (.skip, ["skippedMisfire x3"]),
        ]
    )
    func outage(policy: SchedulePolicy.CatchUp, wanted: [String]) throws {
        var bench = try PlannerBench("0 2 * * *", .with { ($0.catchUp, $0.overlap) = (policy, .allow(max: 1000)) })
        bench.begin(at: PlannerBench.instant(2026, 3, 3, 1, 0))
        let rows = try bench.settle(at: Self.morning)
        #expect(rows.map(PlannerBench.words) == wanted)
        #expect(rows.allSatisfy { $0.kind == .catchUp })
        #expect(bench.record.next == PlannerBench.instant(2026, 3, 6, 2, 0))
        #expect(bench.record.cursor <= Self.morning)
        #expect(try bench.settle(at: Self.morning).isEmpty, "nothing twice")
    }

    @Test("a tick that is decided within the grace is on time, whatever the policy")
    func grace() throws {
        for policy: SchedulePolicy.CatchUp in [.latest, .earliest, .all(), .skip] {
            var bench = try PlannerBench("0 2 * * *", .with { $0.catchUp = policy })
            bench.begin(at: PlannerBench.instant(2026, 3, 3, 1, 59))
            let rows = try bench.settle(at: PlannerBench.instant(2026, 3, 3, 2, 0) + .seconds(40))
            #expect(rows.map(PlannerBench.words) == ["run 3 Mar"])
            #expect(rows.first?.kind == .regular)
        }
    }

    @Test("a schedule of every second that was down for a week has one job and one row")
    func week() throws {
        var bench = try PlannerBench("* * * * * *", .standard)
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        let now = start + .days(7)
        var rows: [TickRecord] = []
        for _ in 0..<10 { rows += try bench.settle(at: now) }
        let coalesced = rows.filter { $0.decision == .coalesced }
        #expect(coalesced.reduce(0) { $0 + $1.count } == 7 * 86_400 - 1)
        #expect(rows.filter { $0.decision == .enqueued }.map(\.nominal) == [now])
        // A cron expression is counted in bites of 100,000.
        #expect(coalesced.count == 7)
    }

    @Test("ticks that are older than the window are skipped")
    func window() throws {
        var bench = try PlannerBench(
            "0 2 * * *",
            .with { ($0.catchUp, $0.catchUpWindow, $0.overlap) = (.all(), .hours(36), .allow(max: 9)) }
        )
        bench.begin(at: PlannerBench.instant(2026, 3, 1, 1, 0))
        #expect(
            try bench.settle(at: Self.morning).map(PlannerBench.words)
                == ["skippedMisfire x3", "run 4 Mar", "run 5 Mar"]
        )
    }

    @Test(
        "while an earlier job is not done the policy decides what a tick does",
        arguments: [
            (SchedulePolicy.Overlap.skip, ["run", "skippedOverlap", "skippedOverlap", "skippedOverlap"], ["run"]),
            (.allow(max: 2), ["run", "run", "skippedOverlap", "skippedOverlap"], ["run"]),
            (.queueOne, ["run", "queued", "coalesced", "queued", "coalesced", "queued"], ["run"]),
            (.queueAll(max: 2), ["run", "queued", "queued", "skippedOverlap"], ["run", "run"]),
            (.cancelRunning, ["run", "queued", "coalesced", "queued", "coalesced", "queued"], ["run"]),
        ]
    )
    func overlap(policy: SchedulePolicy.Overlap, during: [String], after: [String]) throws {
        var bench = try PlannerBench("* * * * *", .with { $0.overlap = policy })
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        var seen: [String] = []
        for minute in 1...4 {
            seen += try bench.settle(at: start + .minutes(minute)).map(PlannerBench.word)
        }
        #expect(seen == during)
        #expect(bench.cancels.isEmpty == (policy != .cancelRunning))
        // The jobs end, one after the other, before the next tick.
        seen = []
        for second in 1...3 {
            bench.endJobs(at: start + .minutes(4) + .seconds(second))
            seen += try bench.settle(at: start + .minutes(4) + .seconds(second)).map(PlannerBench.word)
        }
        bench.endJobs(at: start + .minutes(5))
        if !after.isEmpty, policy == .skip || policy == .allow(max: 2) {
            seen += try bench.settle(at: start + .minutes(5)).map(PlannerBench.word)
        }
        #expect(seen == after)
    }

    @Test("three skips in a row are reported once, with the job that is in the way")
    func starvation() throws {
        var bench = try PlannerBench("* * * * *", .standard)
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        var blocked: [JobID?] = []
        for minute in 1...6 {
            _ = try bench.settle(at: start + .minutes(minute))
            blocked.append(bench.blockedBy)
        }
        let job = try #require(bench.record.unfinished.first?.id)
        #expect(blocked == [nil, nil, nil, job, nil, nil])
    }

    @Test("a limit ends the schedule after so many jobs, and skipped ticks do not count")
    func limit() throws {
        var bench = try PlannerBench(.cron("* * * * *").limited(to: 2), .standard)
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        var words = try bench.settle(at: start + .minutes(1)).map(PlannerBench.word)
        words += try bench.settle(at: start + .minutes(2)).map(PlannerBench.word)
        bench.endJobs(at: start + .minutes(2) + .seconds(9))
        words += try bench.settle(at: start + .minutes(3)).map(PlannerBench.word)
        words += try bench.settle(at: start + .minutes(9)).map(PlannerBench.word)
        #expect(words == ["run", "skippedOverlap", "run"])
        #expect(bench.record.state == .completed)
        #expect(bench.record.dueAt == nil)
    }

    @Test("a single instant that is past fires at once, unless late ticks are skipped")
    func once() throws {
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        for (policy, wanted) in [(SchedulePolicy.CatchUp.latest, "run"), (.skip, "skippedMisfire")] {
            var bench = try PlannerBench(.once(at: start - .hours(1)), .with { $0.catchUp = policy })
            bench.begin(at: start)
            var words = try bench.settle(at: start).map(PlannerBench.word)
            words += try bench.settle(at: start).map(PlannerBench.word)
            #expect(words == [wanted])
            #expect(bench.record.state == .completed)
        }
    }

    @Test("after completion the next time counts from the end of the run")
    func afterCompletion() throws {
        var bench = try PlannerBench(.afterCompletion(.seconds(30)), .standard)
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        #expect(try bench.settle(at: start + .seconds(29)).isEmpty)
        #expect(try bench.settle(at: start + .seconds(30)).map(\.nominal) == [start + .seconds(30)])
        #expect(try bench.settle(at: start + .seconds(90)).isEmpty, "while it runs")
        #expect(bench.record.state == .active)
        bench.endJobs(at: start + .seconds(100))
        #expect(try bench.settle(at: start + .seconds(101)).isEmpty)
        #expect(bench.record.dueAt == start + .seconds(130))
        #expect(try bench.settle(at: start + .seconds(131)).map(\.nominal) == [start + .seconds(130)])
    }

    @Test("a cursor from a clock that was set back is put right, and a tick whose job ran does not run again")
    func clockSetBack() throws {
        var bench = try PlannerBench("* * * * *", .with { $0.overlap = .allow(max: 1000) })
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        let early = try bench.settle(at: start + .minutes(4))
        #expect(early.map(PlannerBench.word) == ["coalesced", "run"])
        bench.endJobs(at: start + .minutes(4))
        #expect(try bench.settle(at: start).isEmpty)
        var later: [TickRecord] = []
        for minute in 1...5 { later += try bench.settle(at: start + .minutes(minute)) }
        #expect(later.map(\.nominal) == [1, 2, 3, 5].map { start + .minutes($0) })
    }

    @Test("jobs are ready after their nominal time and before the next, the same in every process")
    func jitter() throws {
        var bench = try PlannerBench(
            .every(.seconds(60)),
            .with { ($0.jitter, $0.stagger, $0.overlap) = (.seconds(50), .seconds(50), .allow(max: 1000)) }
        )
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        var twin = bench
        var delays: Set<Duration> = []
        for minute in 1...100 {
            let now = start + .minutes(minute)
            _ = try bench.settle(at: now)
            _ = try twin.settle(at: now)
            let job = try #require(bench.jobs.last)
            #expect(job == twin.jobs.last)
            let ready = job.start.instant(from: now)
            #expect(ready >= now && ready < now + .seconds(60))
            delays.insert(ready - now)
        }
        #expect(delays.count > 50)
        #expect(bench.record.next == start + .minutes(101))
    }

    @Test("a job that is too late to start is not enqueued, and one in time expires when it must")
    func expiry() throws {
        var bench = try PlannerBench("* * * * *", .with { $0.expiresAfter = .seconds(90) })
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        #expect(try bench.settle(at: start + .seconds(70)).map(PlannerBench.word) == ["run"])
        #expect(bench.jobs.last?.startWithin == .seconds(80))
        bench.endJobs(at: start + .seconds(71))
        var late = try PlannerBench("0 2 * * *", .with { $0.expiresAfter = .hours(1) })
        late.begin(at: PlannerBench.instant(2026, 3, 3, 1, 0))
        #expect(try late.settle(at: Self.morning).allSatisfy { $0.decision != .enqueued })
    }

    @Test("code that says there is nothing to do leaves a row, and code that throws leaves the schedule as it was")
    func builders() throws {
        struct Poison: Error {}
        var bench = try PlannerBench("* * * * *", .standard)
        let start = PlannerBench.instant(2026, 3, 3, 0, 0)
        bench.begin(at: start)
        bench.build = { _ in nil }
        #expect(try bench.settle(at: start + .minutes(1)).map(PlannerBench.word) == ["skippedByCode"])
        bench.build = { _ in throw Poison() }
        let before = bench.record
        #expect(throws: Poison.self) { try bench.settle(at: start + .minutes(2)) }
        #expect(bench.record == before)
    }
}
