// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("How a job becomes ready, starts, or is too late")
struct JobRecordClaimTests {
    let now = Timestamp(microseconds: 5_000_000_000)

    func record(_ change: (inout NewJob) -> Void = { _ in }) -> JobRecord {
        var job = NewJob(id: JobID(high: 1, low: 1), name: "mail", payload: Payload(bytes: []))
        change(&job)
        return JobRecord(job, at: now)
    }

    @Test("a due job becomes ready with the rank of the time it was due")
    func promote() {
        var job = record { $0.start = .after(.seconds(10)) }
        let early = job.promote(at: now + .seconds(9))
        #expect(!early)
        #expect(job.state == .scheduled)
        let late = job.promote(at: now + .hours(1))
        #expect(late)
        #expect(job.rank == job.priority.rank(readyAt: now + .seconds(10)))
        let again = job.promote(at: now + .hours(1))
        #expect(!again)
    }

    @Test("a held job is not promoted")
    func held() {
        var job = record { $0.start = .after(.seconds(10)) }
        _ = job.hold(Hold(actor: "a", reason: "", since: now))
        let promoted = job.promote(at: now + .hours(1))
        #expect(!promoted)
        #expect(job.state == .scheduled)
    }

    @Test("a level of priority is worth five minutes of waiting")
    func rank() {
        let low = JobPriority(2).rank(readyAt: now)
        #expect(low == JobPriority(3).rank(readyAt: now + .minutes(5)))
        #expect(low < JobPriority(5).rank(readyAt: now + .minutes(15) + .microseconds(1)))
        #expect(low > JobPriority(5).rank(readyAt: now + .minutes(15) - .microseconds(1)))
        #expect(JobPriority(99) == .urgent)
        #expect(JobPriority(-1).level == 0)
    }

    @Test("a lease fits its own claim and no other")
    func lease() throws {
        let worker = try #require(WorkerID("00000000-0000-7000-8000-000000000001"))
        let other = try #require(WorkerID("00000000-0000-7000-8000-000000000002"))
        var job = record()
        let first = job.claim(by: worker, at: now, row: 7)
        #expect(job.isHeld(by: first))
        #expect(first.row == 7)
        #expect(!job.isHeld(by: Lease(job: job.id, worker: other, epoch: first.epoch)))
        #expect(!job.isHeld(by: Lease(job: JobID(high: 2, low: 2), worker: worker, epoch: first.epoch)))
        _ = job.settle(.released, at: now)
        #expect(!job.isHeld(by: first))
        let second = job.claim(by: worker, at: now)
        #expect(second.epoch > first.epoch)
        #expect(!job.isHeld(by: first))
    }

    @Test("late is at the very instant, for the start only before the first start")
    func late() throws {
        let worker = try #require(WorkerID("00000000-0000-7000-8000-000000000001"))
        var job = record { $0.startWithin = .seconds(10) }
        #expect(!job.isLate(at: now + .seconds(10) - .microseconds(1)))
        #expect(job.isLate(at: now + .seconds(10)))
        _ = job.claim(by: worker, at: now)
        #expect(!job.isLate(at: now + .hours(1)))
        let limited = record { $0.deadline = .seconds(10) }
        #expect(limited.isLate(at: now + .seconds(10)))
    }
}
