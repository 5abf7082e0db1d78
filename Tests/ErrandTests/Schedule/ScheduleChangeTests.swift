// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Testing

@testable import Errand

@Suite("Schedules are changed by people and by releases", .timeLimit(.minutes(2)))
struct ScheduleChangeTests {
    private let harness = ScheduleHarness()
    private let busy = SchedulePolicy.with { $0.overlap = .allow(max: 1000) }
    private var clock: ManualClock { harness.clock }
    private var scheduler: Scheduler { harness.scheduler }

    private func kept(_ id: ScheduleID, in store: any JobStore) async throws -> [TickRecord] {
        let span = Timestamp(microseconds: .min)...Timestamp(microseconds: .max)
        return try await store.ticks(TickRequest(id, .span(span, after: nil), limit: 10_000))
    }

    private func release(_ build: Int64, _ cron: String?, on store: any JobStore) throws -> ScheduleHarness {
        let set = try ScheduleSet(build: .monotonic(build)) {
            if let cron { ScheduleDefinition("report", .cron(cron), policy: busy, job: Chore(number: 1)) }
        }
        return ScheduleHarness(set, clock: clock, store: store)
    }

    @Test("12: whatever process of whatever release starts last, the newest definition stays")
    func rollingDeploy() async throws {
        let store = harness.store
        for build in [1, 2, 1, 2, 2, 1] as [Int64] {
            try await release(build, build == 1 ? "0 * * * *" : "30 * * * *", on: store).start()
        }
        let record = try #require(try await scheduler.status(of: "report")?.record)
        #expect(record.definition.trigger == .cron("30 * * * *"))
        #expect(record.build == 2)
        #expect(record.revision == 2)
        // The third is as the second; then the second may not bring itself back over the third.
        try await release(3, "30 * * * *", on: store).start()
        try await release(2, "0 1 * * *", on: store).start()
        #expect(try await scheduler.status(of: "report")?.record.definition.trigger == .cron("30 * * * *"))
    }

    @Test("13: a schedule with a new name begins anew, and the old one is kept and stops")
    func rename() async throws {
        let store = harness.store
        try await release(1, "* * * * *", on: store).start()
        await harness.advance(by: .seconds(70))
        clock.advance(by: .minutes(10))
        let set = try ScheduleSet(build: .monotonic(2)) {
            ScheduleDefinition("news", .cron("* * * * *"), policy: busy, job: Chore(number: 1))
        }
        let next = ScheduleHarness(set, clock: clock, store: store)
        #expect(try await next.scheduler.differences() == ["+ news", "- report"])
        try await next.start()
        let rows = await next.advance(by: .minutes(2))
        #expect(rows.map(\.schedule) == ["news", "news"])
        #expect(rows.allSatisfy { $0.kind == .regular })
        #expect(try await scheduler.status(of: "report")?.record.state == .retired)
        // What was due when it was retired was decided: nine minutes and the newest.
        #expect(try await kept("report", in: store).reduce(0) { $0 + $1.count } == 11)
        #expect(try await next.scheduler.differences().isEmpty)
        // Declared again, it goes on from now.
        try await release(3, "* * * * *", on: store).start()
        #expect(try await scheduler.status(of: "report")?.record.state == .active)
        #expect(try await scheduler.status(of: "news")?.record.state == .retired)
    }

    @Test("14: ticks of a pause do not run, and say so")
    func pause() async throws {
        try await scheduler.put("s", .cron("* * * * *"), policy: busy, job: Chore(number: 1))
        try await scheduler.pause("s", note: "vendor outage", actor: "ada")
        #expect(await harness.advance(by: .minutes(3)).isEmpty)
        #expect(try await scheduler.status(of: "s")?.record.pause?.note == "vendor outage")
        try await scheduler.resume("s", actor: "ada")
        let rows = await harness.advance(by: .minutes(1))
        #expect(rows.map(\.decision) == [.skippedPaused, .enqueued])
        #expect(rows.map(\.count) == [3, 1])
        let audit = try await harness.store.audit(limit: 10)
        #expect(audit.map(\.action) == ["resume schedule", "pause schedule", "put schedule"])
        #expect(audit.map(\.actor) == ["ada", "ada", "app"])
        // One that ends by itself, and one that is caught up with.
        try await scheduler.pause("s", note: "x", until: clock.now + .seconds(90))
        let ended = await harness.advance(by: .minutes(3))
        #expect(ended.map(\.decision) == [.skippedPaused, .enqueued, .enqueued])
        try await scheduler.pause("s", note: "x")
        await harness.advance(by: .minutes(3))
        try await scheduler.resume("s", catchUp: true)
        let caught = await harness.advance(by: .seconds(1))
        #expect(caught.map(\.decision) == [.coalesced, .enqueued])
    }

    @Test("15: a backfill runs each time of its span once, however often it is asked for, and the ticks go on")
    func backfill() async throws {
        try await scheduler.put("s", .cron("0 * * * *"), policy: .standard, job: Chore(number: 1))
        await harness.advance(by: .minutes(61))
        try await harness.finishJobs()
        let start = clock.now - .hours(4)
        // Four hours ago until in two hours: four times that are past, of which one ran, and two to come.
        let span = start..<(clock.now + .hours(2))
        var options = Scheduler.BackfillOptions()
        options.isDryRun = true
        let planned = try await scheduler.backfill("s", span, token: "b1", options: options)
        #expect(planned.count == 5)
        #expect(try await harness.store.counts().count(name: Chore.name) == 1)
        for token in ["b1", "b1", "b2"] { _ = try await scheduler.backfill("s", span, token: token) }
        var rows: [TickRecord] = []
        for _ in 0..<12 {
            rows += await harness.advance(by: .seconds(16))
            #expect(try await harness.store.counts().count(.ready) <= 1, "one after another")
            try await harness.finishJobs()
        }
        #expect(rows.map(\.kind) == Array(repeating: .backfill, count: 5))
        #expect(rows.map(\.nominal) == planned)
        for _ in 0..<3 {
            rows += await harness.advance(by: .hours(1))
            try await harness.finishJobs()
        }
        let nominals = rows.filter { $0.decision == .enqueued }.map(\.nominal)
        #expect(nominals.count == Set(nominals).count)
        #expect(nominals.count == 6, "and the live tick behind the span")
        options = Scheduler.BackfillOptions()
        options.rerun = true
        options.width = 10
        #expect(try await scheduler.backfill("s", span, token: "b3", options: options).count == 6)
        #expect(await harness.advance(by: .seconds(1)).count == 6)
        options.limit = 5
        await #expect(throws: ErrandError.self) {
            try await scheduler.backfill("s", span, token: "b4", options: options)
        }
    }

    @Test("16: asked twice with one token it runs once, also while it is paused and while its job runs")
    func trigger() async throws {
        try await scheduler.put("s", .cron("0 0 1 1 *"), policy: .standard, job: Chore(number: 1))
        let first = try #require(try await scheduler.trigger("s", token: "click"))
        #expect(try await scheduler.trigger("s", token: "click") == first)
        try await scheduler.pause("s", note: "x")
        let second = try #require(try await scheduler.trigger("s", token: "another"))
        #expect(second != first)
        #expect(try await harness.store.counts().count(name: Chore.name) == 2)
        let status = try #require(try await scheduler.status(of: "s"))
        #expect(status.record.runs == 0, "not counted by a limit")
        #expect(status.recent.allSatisfy { $0.kind == .trigger })
        let record = try #require(try await harness.store.jobs([first], parts: []).first)
        let tick = try #require(record.headers[Tick.header].flatMap { Tick(headerValue: $0) })
        #expect(tick.kind == .trigger && tick.key == .trigger("click"))
    }

    @Test("a schedule is put, changed when it is as its editor saw it, and removed")
    func dynamic() async throws {
        let made = try await scheduler.put("digest", .cron("0 8 * * MON"), job: Chore(number: 1))
        #expect(made.source == .dynamic && made.revision == 1)
        let same = try await scheduler.put("digest", .cron("0 8 * * MON"), job: Chore(number: 1))
        #expect(same.version == made.version, "nothing to change")
        await #expect(throws: ErrandError.self) {
            try await scheduler.put("digest", .cron("0 9 * * MON"), job: Chore(number: 1), ifRevision: 0)
        }
        let edited = try await scheduler.put("digest", .cron("0 9 * * MON"), job: Chore(number: 1), ifRevision: 1)
        #expect(edited.revision == 2)
        try await scheduler.override("digest", with: .every(.hours(1)))
        #expect(try await scheduler.status(of: "digest")?.words == "Every hour")
        try await scheduler.override("digest", with: nil)
        #expect(try await scheduler.schedules().map(\.id) == ["digest"])
        #expect(try await scheduler.remove("digest"))
        #expect(try await !scheduler.remove("digest"))
        #expect(try await scheduler.status(of: "digest") == nil)
    }

    @Test("bad input says what to write, before anything is stored")
    func badInput() async throws {
        let wrong: [(ScheduleID, Trigger, SchedulePolicy, String)] = [
            ("Nightly", .every(.seconds(1)), .standard, "a-z"),
            ("a", .cron("61 * * * *"), .standard, "minute 61"),
            ("a", .cron("0 0 31 4 *"), .standard, "never fires"),
            ("a", .cron("* * * * *", in: "Europe/Berlni"), .standard, "did you mean Europe/Berlin?"),
            ("a", .every(.milliseconds(10)), .standard, "whole seconds"),
            ("a", .every(.seconds(1)), .with { $0.overlap = .allow(max: 0) }, "1 to 1000"),
        ]
        for (id, trigger, policy, words) in wrong {
            let error = await #expect(throws: ErrandError.self) {
                try await scheduler.put(id, trigger, policy: policy, job: Chore(number: 1))
            }
            #expect(error?.code == .invalidSchedule)
            #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        }
        #expect(try await scheduler.schedules().isEmpty)
        let errors = #expect(throws: ScheduleErrors.self) {
            try ScheduleSet(build: .monotonic(1)) {
                ScheduleDefinition("a", .cron("61 * * * *"), job: Chore(number: 1))
                ScheduleDefinition("b", .cron("* * * * *"), job: Chore(number: 1))
                ScheduleDefinition("b", .cron("* * * * *"), job: Chore(number: 1))
                ScheduleDefinition("c d", .cron("0 0 * * *", in: "Mars/Olympus"), job: Chore(number: 1))
            }
        }
        #expect(errors?.problems.count == 4)
        await #expect(throws: ErrandError.self) { try await scheduler.pause("nobody", note: "") }
        await #expect(throws: ErrandError.self) { try await scheduler.trigger("nobody", token: "t") }
    }

    @Test("what is allowed and perhaps not meant is said")
    func warnings() throws {
        let set = try ScheduleSet(build: .monotonic(1)) {
            ScheduleDefinition("a", .cron("*/7 * * * *"), job: Chore(number: 1))
            ScheduleDefinition("b", .every(.hours(1)), policy: .with { $0.catchUp = .all() }, job: Chore(number: 1))
            ScheduleDefinition("c", .every(.hours(1)), job: Chore(number: 1))
        }
        let words = set.check()
        #expect(words.map { String($0.prefix(3)) } == ["a: ", "b: "])
        #expect(words.last?.contains("queueAll") == true)
    }

    @Test("a name that was taken at run time keeps the program from starting, and says so")
    func clash() async throws {
        try await scheduler.put("report", .every(.hours(1)), job: Chore(number: 1))
        let program = try release(1, "0 * * * *", on: harness.store)
        let error = await #expect(throws: ErrandError.self) { try await program.start() }
        #expect(error?.message.contains("report") == true)
        // And the program's own cannot be put or removed at run time.
        try await scheduler.remove("report")
        try await program.start()
        await #expect(throws: ErrandError.self) {
            try await scheduler.put("report", .every(.hours(1)), job: Chore(number: 1))
        }
        await #expect(throws: ErrandError.self) { try await scheduler.remove("report") }
    }
}
