// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("What an operator may do to a job")
struct JobRecordOperateTests {
    static let now = Timestamp(microseconds: 5_000_000_000)

    static func record(_ state: JobState) -> JobRecord {
        var record = JobRecord(
            NewJob(id: JobID(high: 1, low: 1), name: "mail", payload: Payload(bytes: [])),
            at: now
        )
        record.state = state
        if state == .scheduled || state == .retrying { record.runAt = now + .hours(1) }
        if state.isFinal { record.finishedAt = now }
        return record
    }

    @Test("an operator's change is allowed or refused as the state says", arguments: JobState.allCases)
    func table(state: JobState) {
        var job = Self.record(state)
        let cancel = job.cancel(by: "a", reason: "", at: Self.now)
        #expect(cancel.isRefused == (state.isFinal && state != .cancelled))
        #expect(job.state == (cancel == .changed && state != .running ? .cancelled : state))

        job = Self.record(state)
        let retry = job.retry(after: .zero, at: Self.now)
        #expect(retry.isRefused == (state == .running || state == .waiting))
        #expect(job.state == (retry == .changed ? .ready : state))
        #expect(job.run == (state.isFinal ? 2 : 1))

        job = Self.record(state)
        let edit = job.edit(JobEdit(priority: 1), at: Self.now)
        #expect(edit.isRefused == (state == .running))
        let hold = job.hold(Hold(actor: "a", reason: "", since: Self.now))
        #expect(hold.isRefused == !state.isPending)
        #expect(job.deletion.isRefused == (state == .running))
    }

    @Test("a spread retry makes only legal moves", arguments: JobState.allCases)
    func spread(state: JobState) {
        var job = Self.record(state)
        guard job.retry(after: .minutes(1), at: Self.now) == .changed else { return }
        #expect(job.state == state || state.canMove(to: job.state))
        #expect(job.runAt == Self.now + .minutes(1))
    }

    @Test("a refused change leaves the record as it was", arguments: JobState.allCases)
    func untouched(state: JobState) {
        let before = Self.record(state)
        for change in [
            { (job: inout JobRecord) in job.cancel(by: "a", reason: "", at: Self.now) },
            { $0.retry(after: .zero, at: Self.now) }, { $0.edit(JobEdit(queue: ""), at: Self.now) },
            { $0.edit(JobEdit(priority: 1, expectedRevision: 9), at: Self.now) },
            { $0.hold(Hold(actor: "a", reason: "", since: Self.now)) },
        ] as [(inout JobRecord) -> JobRecord.Change] {
            var job = before
            if change(&job) != .changed { #expect(job == before) }
        }
    }

    @Test("an edit is checked like a new job")
    func editProblems() {
        #expect(JobEdit().problem == nil)
        #expect(JobEdit(queue: "").problem != nil)
        #expect(JobEdit(payload: Payload(bytes: [], version: 0)).problem != nil)
        #expect(JobEdit(tags: [""]).problem != nil)
        #expect(JobEdit(tags: Array(repeating: "t", count: 21)).problem != nil)
    }
}

extension JobRecord.Change {
    var isRefused: Bool {
        if case .refused = self { true } else { false }
    }
}
