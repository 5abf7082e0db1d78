// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization
import Testing

/// What a case works with: a store, its clock, ids that follow from a seed, and short words for calls.
final class StoreBench: Sendable {
    let name: String
    let clock: ManualClock
    private let opened: Mutex<any JobStore>
    let generator = Mutex(SeededGenerator(seed: 1))
    private let factory: StoreConformance.Factory?

    /// The names that workers of a case know unless it says otherwise.
    static let names: [JobName: Int] = ["mail": 1, "call": 1]

    init(_ name: String, store: any JobStore, clock: ManualClock, reopen: StoreConformance.Factory?) {
        self.name = name
        self.clock = clock
        opened = Mutex(store)
        factory = reopen
    }

    var store: any JobStore { opened.withLock { $0 } }

    var now: Timestamp { clock.now }

    /// Closes the store and opens the same storage again.
    func reopen() async throws {
        guard let factory else { return }
        try await store.close()
        let again = try await factory(clock)
        opened.withLock { $0 = again }
    }

    // MARK: Expecting

    /// Made by hand: the macro that does it is there for test targets only.
    private func spot(_ file: String, _ line: Int) -> SourceLocation {
        SourceLocation(fileID: file, filePath: file, line: line, column: 1)
    }

    func expect(_ holds: Bool, _ what: String, at file: String = #fileID, line: Int = #line) {
        if !holds { Issue.record("\(name): \(what)", sourceLocation: spot(file, line)) }
    }

    func equal<Value: Equatable>(
        _ got: Value,
        _ wanted: Value,
        _ what: String = "",
        at file: String = #fileID,
        line: Int = #line
    ) {
        if got != wanted {
            Issue.record("\(name): \(what) was \(got), should be \(wanted)", sourceLocation: spot(file, line))
        }
    }

    func need<Value>(
        _ value: Value?,
        _ what: String = "a value",
        at file: String = #fileID,
        line: Int = #line
    ) throws -> Value {
        if let value { return value }
        Issue.record("\(name): \(what) is missing", sourceLocation: spot(file, line))
        throw CaseEnded()
    }

    func refuses(
        _ code: StoreError.Code,
        _ what: String,
        at file: String = #fileID,
        line: Int = #line,
        _ call: () async throws -> Void
    ) async {
        do {
            try await call()
            Issue.record("\(name): \(what) did not throw", sourceLocation: spot(file, line))
        } catch let error as StoreError {
            equal(error.code, code, what, at: file, line: line)
        } catch {
            Issue.record("\(name): \(what) threw \(error)", sourceLocation: spot(file, line))
        }
    }

    // MARK: Making

    func id() -> JobID {
        let now = now
        return generator.withLock { JobID(at: now, using: &$0) }
    }

    func job(
        _ name: JobName = "mail",
        queue: QueueName = .default,
        text: String = #"{"to":"ada"}"#,
        version: Int = 1,
        priority: JobPriority = .normal,
        start: NewJob.Start = .now,
        unique: UniqueRule? = nil,
        _ change: (inout NewJob) -> Void = { _ in }
    ) -> NewJob {
        var job = NewJob(
            id: id(),
            name: name,
            payload: Payload(bytes: Array(text.utf8), version: version),
            queue: queue,
            priority: priority,
            start: start,
            unique: unique
        )
        change(&job)
        return job
    }

    /// Inserts a job that must be stored.
    @discardableResult
    func put(_ job: NewJob, at file: String = #fileID, line: Int = #line) async throws -> JobID {
        equal(
            try await store.insert([job], offer: nil),
            [.stored(job.id)],
            "the answer to an insert",
            at: file,
            line: line
        )
        return job.id
    }

    func insert(_ job: NewJob) async throws -> InsertAnswer {
        try need(try await store.insert([job], offer: nil).first, "an answer per job")
    }

    func worker(_ names: [JobName: Int] = StoreBench.names, queue: QueueName = .default) async throws -> WorkerID {
        let now = now
        let worker = generator.withLock { WorkerID(at: now, using: &$0) }
        let registration = WorkerRegistration(
            id: worker,
            host: "here",
            pid: 1,
            version: "1",
            names: names,
            slots: [queue: 100]
        )
        _ = try await store.register(registration)
        return worker
    }

    // MARK: Working

    func claim(
        _ worker: WorkerID,
        _ limit: Int = 100,
        names: [JobName: Int] = StoreBench.names,
        queues: [QueueName] = [.default]
    ) async throws -> ClaimAnswer {
        let queues = queues.map { ClaimRequest.Queue(name: $0, slots: 1000) }
        return try await store.claim(ClaimRequest(worker: worker, names: names, queues: queues, limit: limit))
    }

    /// Claims one job, which must be there.
    func take(_ worker: WorkerID, at file: String = #fileID, line: Int = #line) async throws -> ClaimedJob {
        try need(try await claim(worker, 1).jobs.first, "a job to claim", at: file, line: line)
    }

    /// Stores and claims a job.
    func run(
        _ job: NewJob? = nil,
        on worker: WorkerID,
        at file: String = #fileID,
        line: Int = #line
    ) async throws -> ClaimedJob {
        let id = try await put(job ?? self.job(), at: file, line: line)
        let claimed = try await take(worker, at: file, line: line)
        equal(claimed.record.id, id, "the claimed job", at: file, line: line)
        return claimed
    }

    @discardableResult
    func settle(_ lease: Lease, _ outcome: Outcome, followUps: [NewJob] = []) async throws -> SettleAnswer {
        let settlement = Settlement(lease: lease, outcome: outcome, followUps: followUps)
        return try need(try await store.settle([settlement]).first, "an answer per settlement")
    }

    func ends(
        _ lease: Lease,
        _ outcome: Outcome,
        as state: JobState,
        at file: String = #fileID,
        line: Int = #line
    ) async throws {
        equal(try await settle(lease, outcome), .applied(state), "the answer to \(outcome)", at: file, line: line)
        let record = try await record(lease.job, at: file, line: line)
        equal(record.state, state, "the state after \(outcome)", at: file, line: line)
    }

    // MARK: Looking

    func record(
        _ id: JobID,
        _ parts: JobParts = .all,
        at file: String = #fileID,
        line: Int = #line
    ) async throws -> JobRecord {
        try need(try await store.jobs([id], parts: parts).first, "job \(id)", at: file, line: line)
    }

    func state(_ id: JobID) async throws -> JobState? {
        try await store.jobs([id], parts: []).first?.state
    }

    /// All jobs, newest first, by pages.
    func all(_ filter: JobFilter = JobFilter(), limit: Int = 500) async throws -> [JobRecord] {
        var jobs: [JobRecord] = []
        var after: JobID?
        repeat {
            let page = try await store.list(filter, page: JobPageRequest(after: after, limit: limit))
            jobs += page.jobs
            after = page.next
        } while after != nil
        return jobs
    }

    // MARK: Operating

    @discardableResult
    func operate(_ action: Operation.Action, _ ids: JobID..., reason: String = "test") async throws -> OperationReport {
        try await store.operate(Operation(action, on: .ids(ids), actor: "ada", reason: reason))
    }
}

/// Ends a case after it recorded why.
struct CaseEnded: Error {}

extension StoredError {
    static let sample = StoredError(type: "Oops", message: "it broke")
}

extension Outcome {
    static let success: Outcome = .succeeded(result: nil)
    static let failure: Outcome = .failed(.permanent, error: .sample, timedOut: false)
    static func again(after wait: Duration) -> Outcome { .retry(after: wait, error: .sample, timedOut: false) }
}

extension Payload {
    static func text(_ text: String) -> Payload { Payload(bytes: Array(text.utf8)) }
}
