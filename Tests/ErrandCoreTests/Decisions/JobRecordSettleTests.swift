// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("How an attempt changes a job")
struct JobRecordSettleTests {
    static let start = Timestamp(microseconds: 1_000_000_000)
    static let error = StoredError(type: "T", message: "m")

    static func running(_ change: (inout NewJob) -> Void = { _ in }) throws -> JobRecord {
        var job = NewJob(id: JobID(high: 1, low: 1), name: "mail", payload: Payload(bytes: []))
        change(&job)
        var record = JobRecord(job, at: start)
        let worker = try #require(WorkerID("00000000-0000-7000-8000-000000000001"))
        _ = record.claim(by: worker, at: start)
        return record
    }

    /// Outcome, state, reason, and attempt, failures, snoozes, releases, written by hand.
    static let table: [(Outcome, JobState, FailureReason?, [Int])] = [
        (.succeeded(result: nil), .succeeded, nil, [1, 0, 0, 0]),
        (.retry(after: .seconds(1), error: error, timedOut: false), .retrying, nil, [1, 1, 0, 0]),
        (.retry(after: .zero, error: error, timedOut: true), .ready, nil, [1, 1, 0, 0]),
        (.retry(after: .seconds(-9), error: error, timedOut: true), .ready, nil, [1, 1, 0, 0]),
        (.failed(.permanent, error: error, timedOut: false), .failed, .permanent, [1, 1, 0, 0]),
        (.snoozed(.seconds(1)), .scheduled, nil, [0, 0, 1, 0]),
        (.released, .ready, nil, [0, 0, 0, 1]),
        (.cancelled(reason: "r"), .cancelled, nil, [1, 0, 0, 0]),
        (.abandoned(reason: "r"), .cancelled, .abandoned, [1, 0, 0, 0]),
        (.undecodable(error), .failed, .undecodable, [0, 0, 0, 0]),
    ]

    @Test("an outcome leads to its state and counts what it should", arguments: table)
    func outcome(outcome: Outcome, state: JobState, reason: FailureReason?, counts: [Int]) throws {
        var record = try Self.running()
        let settled = record.settle(outcome, at: Self.start + .seconds(5))
        #expect(record.state == state)
        #expect(record.reason == reason)
        #expect([record.attempt, record.failures, record.snoozes, record.releases] == counts)
        #expect((record.finishedAt == Self.start + .seconds(5)) == state.isFinal)
        #expect((settled.attempt == nil) == (state == .succeeded))
        #expect(record.progress == nil)
    }

    @Test("a job that was asked to stop ends cancelled, or failed for good", arguments: table)
    func stopped(outcome: Outcome, state: JobState, reason: FailureReason?, counts: [Int]) throws {
        var record = try Self.running()
        _ = record.cancel(by: "ada", reason: "r", at: Self.start)
        let settled = record.settle(outcome, at: Self.start)
        #expect(record.state == (state == .failed ? .failed : .cancelled))
        #expect(settled.result == nil)
        #expect(settled.attempt != nil)
    }

    @Test("the last attempt of the policy is final, unless the policy follows the code")
    func exhausted() throws {
        let again = Outcome.retry(after: .seconds(1), error: Self.error, timedOut: false)
        var stored = try Self.running { $0.retry = .none }
        _ = stored.settle(again, at: Self.start)
        #expect(stored.state == .failed)
        #expect(stored.reason == .exhausted)
        var following = try Self.running { $0.retry = RetryPolicy(maxAttempts: 1, followsCode: true) }
        _ = following.settle(again, at: Self.start)
        #expect(following.state == .retrying)
    }

    @Test("crashes below the limit make the job ready with its old rank, the next makes it poison")
    func crashes() throws {
        var record = try Self.running { $0.crashesAllowed = 1 }
        let (rank, epoch) = (record.rank, record.epoch)
        let settled = record.rescue(at: Self.start + .minutes(1))
        #expect(record.state == .ready)
        #expect(record.rank == rank)
        #expect(record.epoch == epoch + 1)
        #expect(settled.attempt?.ending == .crashed)
        _ = record.claim(by: try #require(record.worker), at: Self.start)
        _ = record.rescue(at: Self.start)
        #expect(record.state == .failed)
        #expect(record.reason == .poison)
        #expect(record.failures == 0)
    }

    @Test("every move that a settlement makes is in the table of moves", arguments: table)
    func legal(outcome: Outcome, state: JobState, reason: FailureReason?, counts: [Int]) {
        #expect(JobState.running.canMove(to: state))
    }
}
