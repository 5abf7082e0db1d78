// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import Synchronization

extension BackgroundTasks {
    /// Stores a job together with all others of this request, in one write after the handler has returned and
    /// before the response leaves.
    ///
    /// When they cannot be stored, or not within `flushTimeout`, the client gets 503 instead of the response,
    /// 409 when a unique key was taken and its rule says to refuse, and 500 when a job cannot be encoded; the
    /// log names the cause. So a 2xx means that the jobs exist. To store a job together with rows of your own
    /// use `JobClient.enqueue(_:options:in:)`. From a streaming body or a background task the job is stored at
    /// once, whatever the runner's bounds and mode, and a failure can only be tried again and logged. During
    /// shutdown that holds until the runner's last step; a job that comes later is dropped with an error in the
    /// log.
    /// - Parameters:
    ///   - job: What to do.
    ///   - when: With which outcome of the request it is stored.
    ///   - options: As for `JobClient.enqueue`.
    /// - Returns: The id that the job will have, to tell the client. A job whose unique key is taken is not
    ///   stored: the one that has the key keeps its own id.
    @discardableResult
    public func enqueue<J: Job>(
        _ job: J,
        when: BackgroundCondition = .success,
        options: EnqueueOptions = EnqueueOptions()
    ) -> JobID {
        let client = runner.jobs?.client
        var options = options
        let id = options.id ?? (client?.chance ?? .system).jobID(at: runner.clock.now)
        options.id = id
        stage(when: when) {
            guard let client else { throw BackgroundRunner.noStore }
            return try client.prepare(job, options: options)
        }
        return id
    }

    /// Stages a job.
    ///
    /// It is stored with all others of the request in one write, after the handler has returned and before the
    /// response leaves; one staged later, from a streaming body or a task, at once.
    func stage(when: BackgroundCondition, _ make: () throws -> NewJob) {
        let staged = StagedJob(when: when, job: Result { try make() })
        let isLate = state.withLock { state in
            if state.isHandedOver { return true }
            if state.staged.count < BackgroundJobStore.stagedLimit {
                state.staged.append(staged)
            } else if state.staged.count == BackgroundJobStore.stagedLimit {
                state.staged.append(StagedJob(when: .always, job: .failure(BackgroundRunner.tooManyJobs)))
            }
            return false
        }
        if isLate { storeLate([staged], status: state.withLock { $0.status }) }
    }

    /// Stores what was staged, before the response leaves.
    /// - Parameter status: Of the response that is about to leave; it decides which jobs are stored.
    /// - Returns: Why the client must not be told that all is well; `nil` when everything is stored.
    package func flush(status: Int) async -> BackgroundError? {
        let staged = takeStaged()
        let chosen = staged.filter { $0.when.holds(status: status, delivery: .complete) }
        guard !chosen.isEmpty else { return nil }
        do {
            try await runner.store(try chosen.map { try $0.job.get() })
            return nil
        } catch let error as BackgroundError {
            logFlush(error, count: chosen.count)
            return error
        } catch {
            let problem = BackgroundError(.invalidJob, "a job could not be encoded; none was stored", cause: error)
            logFlush(problem, count: chosen.count)
            return problem
        }
    }

    /// Stores what was staged while the body was written, when no status can be changed any more: errors are
    /// retried and logged like those of a task.
    func flushLate() {
        let staged = takeStaged()
        if !staged.isEmpty { storeLate(staged, status: state.withLock { $0.status }) }
    }

    private func takeStaged() -> [StagedJob] {
        state.withLock { state in
            defer { state.staged = [] }
            return state.staged
        }
    }

    private func storeLate(_ staged: [StagedJob], status: Int?) {
        let chosen = staged.filter { $0.when.holds(status: status ?? 200, delivery: .complete) }
        guard !chosen.isEmpty else { return }
        let runner = runner
        let options = BackgroundTask.Options(when: .always, retry: .attempts(3))
        let task = makeTask("enqueue", options) { try await runner.store(try chosen.map { try $0.job.get() }) }
        runner.submitStoring(task)
    }

    private func logFlush(_ error: BackgroundError, count: Int) {
        var metadata: Logger.Metadata = [BackgroundLog.count: "\(count)"]
        metadata.add(error)
        logger.error("staged jobs were not stored; the response becomes an error", metadata: metadata)
    }
}

extension BackgroundRunner {
    static let noStore = BackgroundError(
        .notStored,
        "this BackgroundRunner has no store: make it with BackgroundRunner(jobs:)"
    )

    static let tooManyJobs = BackgroundError(
        .invalidJob,
        "a request staged more than \(BackgroundJobStore.stagedLimit) jobs: use JobClient.enqueue(from:)"
    )

    /// Stores jobs in one write, or gives up after `flushTimeout`.
    ///
    /// After that it is unknown whether they are stored: a repetition by the client is safe only with a unique
    /// key.
    /// - Throws: ``BackgroundError`` with code `notStored`.
    func store(_ jobs: [NewJob]) async throws {
        guard let store = self.jobs else {
            throw BackgroundError(
                .notStored,
                "this BackgroundRunner has no store: make it with BackgroundRunner(jobs:)"
            )
        }
        let limit = configuration.flushTimeout
        // In a task of its own: a store that ignores cancellation must not keep the response.
        let answer = FirstAnswer<BackgroundError?>()
        let writing = Task {
            do {
                try await store.insert(jobs)
                answer.give(nil)
            } catch {
                answer.give(BackgroundError(.notStored, "the store refused or could not be reached", cause: error))
            }
        }
        let timer = clock.schedule(after: limit) {
            answer.give(BackgroundError(.notStored, "the store did not answer within \(limit); jobs may be stored"))
            writing.cancel()
        }
        defer { timer.cancel() }
        if let error = await answer.wait() { throw error }
    }
}
