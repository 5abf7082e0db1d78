// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Synchronization
import Testing

@testable import Errand

@Suite("Workers run schedules", .timeLimit(.minutes(2)))
struct WorkerScheduleTests {
    private let clock = ManualClock()

    @Test("a worker declares its schedules, decides their ticks, and its handlers know the tick")
    func front() async throws {
        let ticks = Mutex<[Tick]>([])
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Chore.self) { _, context in
                if let tick = context.tick { ticks.withLock { $0.append(tick) } }
            }
        }
        let set = try ScheduleSet(build: .monotonic(1)) {
            ScheduleDefinition("minutely", .cron("* * * * *")) { Chore(number: Int($0.nominal.minute % 60)) }
        }
        var configuration = harness.configuration
        configuration.scheduler = SchedulerConfiguration()
        let worker = Worker(
            store: harness.store,
            handlers: harness.handlers,
            schedules: set,
            configuration: configuration,
            events: harness.events,
            clock: clock
        )
        let start = clock.now
        try await harness.withWorker(worker) { worker in
            try await clock.pass(with: worker) { ticks.withLock { $0.count } >= 3 }
        }
        let seen = ticks.withLock { $0 }.prefix(3)
        #expect(seen.map(\.nominal) == (1...3).map { start + .minutes($0) })
        #expect(seen.allSatisfy { $0.schedule == "minutely" && $0.kind == .regular })
        #expect(seen.allSatisfy { $0.previous == $0.nominal - .minutes(1) && $0.next == $0.nominal + .minutes(1) })
        #expect(seen.map(\.key.rawValue) == seen.map { "\($0.nominal.microseconds / 1_000_000)" })
    }

    @Test("a tick that waits for a job is enqueued as soon as the job ends, not at the next look")
    func promptness() async throws {
        let harness = ScheduleHarness(clock: clock)
        let queue = SchedulePolicy.with { $0.overlap = .queueAll(max: 9) }
        try await harness.scheduler.put("s", .every(.seconds(60)), policy: queue, job: Chore(number: 1))
        let first = await harness.advance(by: .seconds(60))
        let second = await harness.advance(by: .seconds(60))
        #expect(first.map(\.decision) == [.enqueued])
        #expect(second.map(\.decision) == [.queued])
        try await harness.finishJobs()
        _ = await harness.scheduler.round()
        let rows = try await harness.store.ticks(TickRequest("s", .keys(second.map(\.key))))
        #expect(rows.map(\.decision) == [.queued], "nobody runs the scheduler, so nobody listens")
        let running = Task { try await harness.scheduler.run() }
        await clock.nextTimer()
        let third = harness.scheduler.events.events(buffer: 100)
        clock.advance(by: .seconds(60))
        for await event in third {
            if case .ticked(let row) = event, row.decision == .enqueued { break }
        }
        running.cancel()
        try await running.value
    }

    @Test("a job that ignores being stopped is asked once for each look, and the newest tick runs when it is done")
    func cancelRunning() async throws {
        let harness = ScheduleHarness(clock: clock)
        let policy = SchedulePolicy.with { $0.overlap = .cancelRunning }
        try await harness.scheduler.put("s", .every(.seconds(60)), policy: policy, job: Chore(number: 1))
        let first = await harness.advance(by: .seconds(60))
        let job = try #require(first.first?.job)
        let rows = await harness.advance(by: .seconds(61))
        // Nobody has claimed the first, so it is cancelled at once.
        #expect(try await harness.store.jobs([job], parts: []).first?.state == .cancelled)
        #expect(rows.map(\.decision) == [.queued, .enqueued])
        #expect(rows.map(\.nominal) == [first[0].nominal + .seconds(60), first[0].nominal + .seconds(60)])
    }

    @Test("a worker whose schedules clash stops and says why")
    func clash() async throws {
        let harness = ErrandHarness(clock: clock)
        let scheduler = Scheduler(store: harness.store, clock: clock)
        try await scheduler.put("taken", .every(.hours(1)), job: Chore(number: 1))
        let set = try ScheduleSet(build: .monotonic(1)) {
            ScheduleDefinition("taken", .every(.hours(1)), job: Chore(number: 1))
        }
        let worker = Worker(store: harness.store, handlers: JobHandlers(), schedules: set, clock: clock)
        let error = await #expect(throws: ErrandError.self) { try await worker.run() }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test("a clock that gains is believed after a while, one that comes back at once, and a first look always")
    func clockWatch() {
        var watch = ClockWatch(tolerance: .seconds(30), distrust: .seconds(60))
        let start = Timestamp(microseconds: 1_000_000_000)
        #expect(watch.look(start, at: .zero) == .believed)
        #expect(watch.look(start + .hours(9), at: .hours(9)) == .believed, "the machine slept")
        let ahead = start + .hours(9) + .days(1)
        #expect(
            watch.look(ahead, at: .hours(9)) == .jumped(.days(1), wait: .seconds(60), isNew: true)
        )
        #expect(
            watch.look(ahead + .seconds(20), at: .hours(9) + .seconds(20))
                == .jumped(.days(1), wait: .seconds(40), isNew: false)
        )
        #expect(watch.look(start + .hours(9) + .seconds(30), at: .hours(9) + .seconds(30)) == .believed)
        #expect(watch.look(start, at: .hours(9) + .seconds(31)) == .believed, "set back")
        _ = watch.look(start + .days(1), at: .hours(9) + .seconds(32))
        #expect(watch.look(start + .days(1), at: .hours(9) + .seconds(93)) == .believed)
    }
}
