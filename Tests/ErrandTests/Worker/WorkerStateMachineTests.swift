// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Errand

@Suite struct WorkerStateMachineTests {
    private let worker = WorkerID("0192f3c4-0000-7000-8000-000000000001")!

    private func machine(
        _ lines: [(name: QueueName, slots: Int, weight: Int)] = [("default", 4, 1)],
        concurrency: Int = 4,
        readAhead: Int = 100
    ) -> WorkerStateMachine {
        WorkerStateMachine(
            lines: lines,
            concurrency: concurrency,
            readAheadLimit: readAhead,
            order: .weighted,
            poll: .seconds(1)...(.seconds(5))
        )
    }

    private func jobs(_ count: Int, _ queue: QueueName = "default") -> [ClaimedJob] {
        (0..<count)
            .map { number in
                var record = JobRecord(
                    NewJob(
                        id: JobID(high: 0x7000, low: UInt64(number)),
                        name: "chore",
                        payload: Payload(bytes: []),
                        queue: queue
                    ),
                    at: .epoch
                )
                let lease = record.claim(by: worker, at: .epoch)
                return ClaimedJob(lease: lease, record: record)
            }
    }

    private func answer(
        _ jobs: [ClaimedJob],
        hasMore: Bool = false,
        nextDue: Timestamp? = nil,
        at: Timestamp = .epoch
    ) -> ClaimAnswer {
        ClaimAnswer(jobs: jobs, nextDue: nextDue, hasMore: hasMore, at: at)
    }

    @Test("a new worker asks at once for as many jobs as it has slots, and not twice at a time")
    func firstClaim() {
        var machine = machine()
        let request = machine.claimRequest(at: .zero)
        #expect(request?.limit == 4)
        #expect(request?.queues.map(\.slots) == [4])
        let request1 = machine.claimRequest(at: .zero)
        #expect(request1 == nil)
        #expect(machine.accountedThrough == nil, "a claim is on its way")
        let started2 = machine.claimAnswered(answer(jobs(3)), at: .milliseconds(1))
        #expect(started2.count == 3)
        #expect(machine.running == 3)
        #expect(machine.accountedThrough == .epoch - .microseconds(1))
    }

    @Test("while nothing is there it looks at growing intervals, or when the next job is due")
    func polling() {
        var machine = machine()
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer([]), at: .zero)
        let request3 = machine.claimRequest(at: .seconds(1))
        #expect(request3 == nil)
        #expect(machine.idleTime(at: .zero) == .seconds(2))
        let request4 = machine.claimRequest(at: .seconds(2))
        #expect(request4 != nil)
        _ = machine.claimAnswered(answer([]), at: .seconds(2))
        #expect(machine.idleTime(at: .seconds(2)) == .seconds(4))
        _ = machine.claimRequest(at: .seconds(6))
        _ = machine.claimAnswered(answer([]), at: .seconds(6))
        #expect(machine.idleTime(at: .seconds(6)) == .seconds(5), "never longer than the limit")
        _ = machine.claimRequest(at: .seconds(11))
        _ = machine.claimAnswered(answer([], nextDue: .epoch + .milliseconds(300)), at: .seconds(11))
        #expect(machine.idleTime(at: .seconds(11)) == .milliseconds(300))
    }

    @Test("a signal for a served queue makes it look, also when it comes during a claim")
    func signals() {
        var machine = machine()
        _ = machine.claimRequest(at: .zero)
        let wakes5 = machine.signalled(["default"])
        #expect(!wakes5, "the loop is busy and will look again")
        _ = machine.claimAnswered(answer([]), at: .zero)
        let request6 = machine.claimRequest(at: .zero)
        #expect(request6 != nil)
        _ = machine.claimAnswered(answer([]), at: .zero)
        let wakes7 = machine.signalled(["elsewhere"])
        #expect(!wakes7)
        let request8 = machine.claimRequest(at: .zero)
        #expect(request8 == nil)
        let wakes9 = machine.signalled(["default"])
        #expect(wakes9)
        let request10 = machine.claimRequest(at: .zero)
        #expect(request10 != nil)
    }

    @Test("with all slots taken it does not ask, whatever happens")
    func full() {
        var machine = machine()
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer(jobs(4), hasMore: true), at: .zero)
        let request11 = machine.claimRequest(at: .seconds(60))
        #expect(request11 == nil)
        #expect(machine.idleTime(at: .seconds(60)) == nil)
        let wakes12 = machine.signalled(["default"])
        #expect(!wakes12)
        let next13 = machine.ended(in: "default")
        #expect(next13.isEmpty)
        #expect(machine.wantsClaim)
        let request14 = machine.claimRequest(at: .seconds(60))
        #expect(request14?.limit == 1)
    }

    @Test("long jobs are never claimed ahead, short ones are, and what was claimed ahead starts in order")
    func readAhead() {
        var machine = machine()
        // Long jobs: one ended in the ten seconds since the last answer.
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer(jobs(4), hasMore: true), at: .milliseconds(10))
        _ = machine.ended(in: "default")
        let request15 = machine.claimRequest(at: .seconds(10))
        #expect(request15?.limit == 1)
        _ = machine.claimAnswered(answer(jobs(1), hasMore: true), at: .seconds(10) + .milliseconds(10))
        // Short jobs: four ended within twenty milliseconds, a claim takes ten: four free slots and eight ahead.
        for _ in 0..<4 { _ = machine.ended(in: "default") }
        _ = machine.claimRequest(at: .seconds(10) + .milliseconds(20))
        _ = machine.claimAnswered(answer(jobs(4), hasMore: true), at: .seconds(10) + .milliseconds(30))
        for _ in 0..<4 { _ = machine.ended(in: "default") }
        let request = machine.claimRequest(at: .seconds(10) + .milliseconds(30))
        #expect(request?.limit == 12)
        let started = machine.claimAnswered(answer(jobs(8), hasMore: true), at: .seconds(10) + .milliseconds(40))
        #expect(started.count == 4)
        #expect(machine.buffered == 4)
        let next16 = machine.ended(in: "default")
        #expect(next16.map(\.lease.job.low) == [4])
        #expect(machine.buffered == 3)
    }

    /// A machine with two queues, four slots each, that has seen four jobs of the second end within a round trip.
    private func busy() -> WorkerStateMachine {
        var machine = machine([("long", 4, 1), ("short", 4, 1)], concurrency: 8)
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer(jobs(4, "long") + jobs(4, "short"), hasMore: true), at: .milliseconds(10))
        for _ in 0..<4 { _ = machine.ended(in: "short") }
        _ = machine.claimRequest(at: .milliseconds(10))
        _ = machine.claimAnswered(answer(jobs(4, "short"), hasMore: true), at: .milliseconds(20))
        return machine
    }

    @Test("jobs are claimed ahead while all slots are taken, of a queue whose jobs are short and of no other")
    func aheadOfFullSlots() {
        var machine = busy()
        #expect(machine.running == 8)
        let request = machine.claimRequest(at: .milliseconds(20))
        #expect(request?.queues.map(\.name) == ["short"])
        #expect(request?.limit == 16, "four ended in one round trip")
    }

    @Test("a store that answers in no time is still asked for what ends within five milliseconds")
    func leastAhead() {
        var machine = machine()
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer(jobs(4), hasMore: true), at: .zero)
        for _ in 0..<4 { _ = machine.ended(in: "default") }
        _ = machine.claimRequest(at: .milliseconds(1))
        _ = machine.claimAnswered(answer(jobs(4), hasMore: true), at: .milliseconds(1))
        #expect(machine.claimRequest(at: .milliseconds(1))?.limit == 20, "four ended in one millisecond")
        _ = machine.claimAnswered(answer(jobs(4), hasMore: true), at: .milliseconds(1))
        for _ in 0..<8 { _ = machine.ended(in: "default") }
        #expect(machine.claimRequest(at: .milliseconds(1))?.limit == 4, "by a clock that stands no job is short")
    }

    @Test("with jobs ahead it asks again when a quarter of them has started")
    func quarter() {
        var machine = busy()
        _ = machine.claimRequest(at: .milliseconds(20))
        _ = machine.claimAnswered(answer(jobs(16, "short"), hasMore: true), at: .milliseconds(30))
        // None ended meanwhile: what is ahead now is too much.
        let none = machine.claimRequest(at: .milliseconds(30))
        #expect(none == nil)
        for _ in 0..<20 { _ = machine.ended(in: "short") }
        #expect(machine.claimRequest(at: .milliseconds(30))?.limit == 4)
        _ = machine.claimAnswered(answer(jobs(68, "short"), hasMore: true), at: .milliseconds(40))
        #expect(machine.buffered == 64, "of 80: twenty ended in one round trip")
        for _ in 0..<3 { _ = machine.ended(in: "short") }
        let early = machine.claimRequest(at: .milliseconds(40))
        #expect(early == nil)
        _ = machine.ended(in: "short")
        #expect(machine.wantsClaim)
        #expect(machine.claimRequest(at: .milliseconds(40))?.limit == 20)
    }

    @Test("a queue never runs more than its slots while others go on")
    func queueSlots() {
        var machine = machine([("a", 1, 1), ("b", 4, 1)])
        _ = machine.claimRequest(at: .zero)
        let started = machine.claimAnswered(answer(jobs(2, "a") + jobs(2, "b")), at: .zero)
        #expect(started.map(\.record.queue) == ["a", "b", "b"])
        let next17 = machine.ended(in: "b")
        #expect(next17.isEmpty)
        let next18 = machine.ended(in: "a")
        #expect(next18.map(\.record.queue) == ["a"])
    }

    @Test("a queue that was left out for lack of slots is asked as soon as one of its jobs ends")
    func leftOut() {
        var machine = machine([("a", 1, 1), ("b", 4, 1)])
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer(jobs(1, "a"), hasMore: true), at: .zero)
        let second = machine.claimRequest(at: .zero)
        #expect(second?.queues.map(\.name) == ["b"])
        _ = machine.claimAnswered(answer([]), at: .zero)
        let idle = machine.claimRequest(at: .zero)
        #expect(idle == nil)
        _ = machine.ended(in: "a")
        #expect(machine.wantsClaim)
        let third = machine.claimRequest(at: .zero)
        #expect(third?.queues.map(\.name) == ["a", "b"])
    }

    @Test("every lease is held from the answer that brings it until it is settled, in whatever place it is")
    func held() {
        var machine = machine([("default", 1, 1)], concurrency: 1)
        let claimed = jobs(3)
        _ = machine.claimRequest(at: .zero)
        let started = machine.claimAnswered(answer(claimed, hasMore: true), at: .zero)
        #expect(started.count == 1)
        #expect(machine.held == Set(claimed.map(\.lease)), "before anybody has started the first")
        _ = machine.ended(in: "default")
        #expect(machine.held.count == 3)
        machine.settled(claimed[0].lease)
        #expect(machine.held.count == 2)
        let givenBack = machine.drain()
        #expect(machine.held == Set(givenBack.map(\.lease) + [claimed[1].lease]))
    }

    @Test("a failed claim is tried again after the wait, and its leases stay unaccounted until a later answer")
    func failure() {
        var machine = machine()
        _ = machine.claimRequest(at: .zero)
        machine.claimFailed(at: .zero, retryAfter: .milliseconds(100))
        let request19 = machine.claimRequest(at: .milliseconds(99))
        #expect(request19 == nil)
        #expect(machine.accountedThrough == nil)
        _ = machine.claimRequest(at: .milliseconds(100))
        _ = machine.claimAnswered(answer([], at: .epoch + .seconds(1)), at: .milliseconds(101))
        #expect(machine.accountedThrough == .epoch + .seconds(1) - .microseconds(1))
    }

    @Test("slots are offered to inserts only while nothing else waits for them")
    func offers() {
        var machine = machine([("default", 2, 1)], concurrency: 2)
        let new = (0..<3)
            .map {
                NewJob(id: JobID(high: 1, low: UInt64($0)), name: "chore", payload: Payload(bytes: []))
            }
        let slots20 = machine.reserve(for: new, names: ["chore": 1])
        #expect(slots20 == nil, "the first look has not happened")
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer([]), at: .zero)
        let slots21 = machine.reserve(for: new, names: ["other": 1])
        #expect(slots21 == nil)
        let slots22 = machine.reserve(for: new, names: ["chore": 1])
        #expect(slots22 == ["default": 2])
        let slots23 = machine.reserve(for: new, names: ["chore": 1])
        #expect(slots23 == nil, "all slots are promised")
        #expect(machine.accountedThrough == nil)
        machine.delivered(jobs(1), of: ["default": 2])
        let started24 = machine.startDelivered()
        #expect(started24.count == 1)
        #expect(machine.running == 1)
        let slots25 = machine.reserve(for: new, names: ["chore": 1])
        #expect(slots25 == ["default": 1])
        machine.delivered([], of: ["default": 1])
        let started26 = machine.startDelivered()
        #expect(started26.isEmpty)
        _ = machine.signalled(["default"])
        let slots27 = machine.reserve(for: new, names: ["chore": 1])
        #expect(slots27 == nil, "work that is there already goes first")
    }

    @Test("draining gives the read-ahead back and starts nothing any more")
    func draining() {
        var machine = machine([("default", 1, 1)], concurrency: 1)
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer(jobs(3), hasMore: true), at: .zero)
        let buffered28 = machine.drain()
        #expect(buffered28.count == 2)
        #expect(machine.unsettled == 2)
        let next29 = machine.ended(in: "default")
        #expect(next29.isEmpty)
        let request30 = machine.claimRequest(at: .seconds(60))
        #expect(request30 == nil)
        for lease in machine.held { machine.settled(lease) }
        #expect(machine.unsettled == 0)
        #expect(machine.held.isEmpty)
    }

    @Test("a fenced worker neither claims nor starts until a beat is answered")
    func fencing() {
        var machine = machine([("default", 1, 1)], concurrency: 1)
        _ = machine.claimRequest(at: .zero)
        _ = machine.claimAnswered(answer(jobs(2), hasMore: true), at: .zero)
        let buffered31 = machine.fence()
        #expect(buffered31.count == 1)
        let next32 = machine.ended(in: "default")
        #expect(next32.isEmpty)
        let request33 = machine.claimRequest(at: .seconds(60))
        #expect(request33 == nil)
        machine.unfence()
        let request34 = machine.claimRequest(at: .seconds(60))
        #expect(request34 != nil)
    }
}
