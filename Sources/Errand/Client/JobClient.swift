// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Enqueues jobs, asks about them and changes them.
///
/// A value that is cheap to copy; copies share their batching. Nothing is started and nothing needs closing.
public struct JobClient: Sendable {
    /// Where the jobs live.
    public let store: any JobStore
    /// How the client writes and waits.
    public let configuration: JobClientConfiguration
    let interceptors: [any EnqueueInterceptor]
    let clock: any ErrandClock
    package let chance: Chance
    let events: EventHub
    let metrics: ErrandMetrics
    private let batcher: CallBatcher<NewJob, InsertAnswer>
    let spooler: CallBatcher<NewJob, JobID>?

    /// A client of this store.
    /// - Parameters:
    ///   - store: Where the jobs live; the client does not close it.
    ///   - spool: Where jobs go that are enqueued with ``EnqueueDurability/spool``; an ``OutboxRelay`` has to run.
    ///   - configuration: How it writes and waits.
    ///   - interceptors: Code around every enqueue, the first one outermost.
    ///   - events: Hears of every stored job; share it with the worker to hear of everything.
    ///   - clock: Measures waits and dates ids.
    ///   - chance: Makes ids.
    public init(
        store: any JobStore,
        spool: (any JobOutbox)? = nil,
        configuration: JobClientConfiguration = JobClientConfiguration(),
        interceptors: [any EnqueueInterceptor] = [],
        events: EventHub = EventHub(),
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system
    ) {
        self.store = store
        self.configuration = configuration
        self.interceptors = interceptors
        self.clock = clock
        self.chance = chance
        self.events = events
        metrics = ErrandMetrics()
        let writer = EnqueueWriter(store: store, clock: clock, retryFor: configuration.retryFor)
        batcher = CallBatcher(limit: configuration.batchLimit) { try await writer.write($0) }
        spooler = spool.map { spool in
            CallBatcher(limit: configuration.batchLimit) { jobs in
                try await spool.add(jobs)
                return jobs.map(\.id)
            }
        }
    }

    /// Encodes and checks a job without storing it: for one of several writes that must happen together.
    /// - Throws: ``ErrandError`` with code `invalidJob` and a sentence that says what to change; what an
    ///   interceptor throws; an encoding error.
    public func prepare<J: Job>(_ job: J, options: EnqueueOptions = EnqueueOptions()) throws -> NewJob {
        var new = try NewJob(
            job,
            options: options,
            id: options.id ?? chance.jobID(at: clock.now),
            trace: ErrandSpans.carrier()
        )
        for interceptor in interceptors { try interceptor.prepare(&new) }
        if let problem = new.problem(payloadLimit: configuration.payloadLimit) {
            throw ErrandError(.invalidJob, problem)
        }
        return new
    }

    /// Writes prepared jobs together with whatever else waits, through the interceptors. Answers one for one.
    /// - Throws: The first refusal, as ``/ErrandCore/StoreError``; the jobs that were not refused are stored all the same.
    public func enqueue(prepared jobs: [NewJob]) async throws -> [EnqueueResult] {
        try await write(jobs, through: interceptors[...])
    }

    private func write(
        _ jobs: [NewJob],
        through chain: ArraySlice<any EnqueueInterceptor>
    ) async throws -> [EnqueueResult] {
        if let interceptor = chain.first {
            let results = try await interceptor.enqueue(jobs) { try await write($0, through: chain.dropFirst()) }
            guard results.count == jobs.count else {
                throw ErrandError(
                    .invalidConfiguration,
                    "the interceptor \(type(of: interceptor)) answered \(results.count) results for \(jobs.count) jobs; "
                        + "it must answer each, or throw to refuse them all"
                )
            }
            return results
        }
        return try await ErrandSpans.enqueue(jobs) { jobs in
            let answers = try await batcher.submit(jobs)
            let results = answers.map { answer in Result { try EnqueueResult(answer) } }
            let stored = zip(jobs, results).lazy
                .compactMap { job, result in (try? result.get()).map { (job: job, result: $0) } }
            metrics.enqueued(stored.map { ($0.job, $0.result.kind) })
            for (job, result) in stored {
                events.publish(.enqueued(result.id, job.name, job.queue, result.kind))
            }
            return try results.map { try $0.get() }
        }
    }
}
