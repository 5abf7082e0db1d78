// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobClient {
    /// Stores a job and returns once it is as durable as the store promises.
    ///
    /// Concurrent calls share a write. After this returns the job reaches exactly one final state.
    /// - Returns: A handle; its ``JobHandle/wasDuplicate`` tells whether a unique key was taken.
    /// - Throws: ``ErrandError`` with code `invalidJob` before anything is stored; ``/ErrandCore/StoreError``: with code
    ///   `conflict` when the unique rule says to refuse, `outcomeUnknown` when the job may have been stored.
    @discardableResult
    public func enqueue<J: Job>(_ job: J, options: EnqueueOptions = EnqueueOptions()) async throws -> JobHandle<J> {
        let results = try await enqueue(prepared: [prepare(job, options: options)])
        return JobHandle(results[0], client: self)
    }

    /// Stores many jobs, one write per ``JobClientConfiguration/batchLimit``, and returns a handle for each, in
    /// order. Uniqueness holds as for single ones. All are checked before any is stored.
    /// - Throws: As for one; writes before the one that failed have happened. Options with an
    ///   ``EnqueueOptions/id`` are refused with code `invalidJob`, because all but one of the jobs would be lost.
    @discardableResult
    public func enqueue<J: Job>(
        contentsOf jobs: some Collection<J>,
        options: EnqueueOptions = EnqueueOptions()
    ) async throws -> [JobHandle<J>] {
        try refuseID(of: options)
        let prepared = try jobs.map { try prepare($0, options: options) }
        var handles: [JobHandle<J>] = []
        handles.reserveCapacity(prepared.count)
        var start = 0
        while start < prepared.count {
            let end = min(start + configuration.batchLimit, prepared.count)
            let results = try await enqueue(prepared: Array(prepared[start..<end]))
            handles += results.map { JobHandle($0, client: self) }
            start = end
        }
        return handles
    }

    /// Stores the jobs of a sequence as they come. A batch is written before more is read, so a fast source is
    /// held back by the store, and memory holds one batch.
    /// - Parameters:
    ///   - source: Where the jobs come from; an error it throws ends the call, what was written before stays.
    ///   - options: For every job; without an ``EnqueueOptions/id``, which only one of them could have.
    ///   - each: Called with the handle of each stored job, in order.
    /// - Returns: How many jobs were stored or found to be duplicates.
    @discardableResult
    public func enqueue<J: Job, Source: AsyncSequence>(
        from source: Source,
        options: EnqueueOptions = EnqueueOptions(),
        each: (JobHandle<J>) async throws -> Void = { _ in }
    ) async throws -> Int where Source.Element == J {
        try refuseID(of: options)
        var batch: [NewJob] = []
        var count = 0
        for try await job in source {
            batch.append(try prepare(job, options: options))
            guard batch.count >= configuration.batchLimit else { continue }
            count += try await flush(&batch, each)
        }
        return try await count + flush(&batch, each)
    }

    private func refuseID(of options: EnqueueOptions) throws {
        guard let id = options.id else { return }
        throw ErrandError(
            .invalidJob,
            "the id \(id) is given for many jobs and only one could be stored; leave it out or enqueue them one by one"
        )
    }

    private func flush<J: Job>(
        _ batch: inout [NewJob],
        _ each: (JobHandle<J>) async throws -> Void
    ) async throws -> Int {
        guard !batch.isEmpty else { return 0 }
        let results = try await enqueue(prepared: batch)
        batch.removeAll(keepingCapacity: true)
        for result in results { try await each(JobHandle(result, client: self)) }
        return results.count
    }

    /// Stores a job inside the application's own transaction: it exists exactly if the rest of the transaction
    /// does, and workers are woken after the commit.
    /// - Throws: ``ErrandError`` with code `invalidJob`; ``/ErrandCore/StoreError`` with code `unsupported` when the store
    ///   does not live in that database, `conflict` when the unique rule says to refuse.
    @discardableResult
    public func enqueue<J: Job>(
        _ job: J,
        options: EnqueueOptions = EnqueueOptions(),
        in transaction: some StoreTransaction
    ) throws -> JobHandle<J> {
        let answers = try transaction.insert([prepare(job, options: options)], into: store)
        guard let answer = answers.first else { throw StoreError(.corrupt, "the store gave no answer to an insert") }
        return JobHandle(try EnqueueResult(answer), client: self)
    }

    /// The same in a transaction on an asynchronous connection, such as a `PostgresTransaction`.
    /// - Throws: As the one above.
    @discardableResult
    public func enqueue<J: Job>(
        _ job: J,
        options: EnqueueOptions = EnqueueOptions(),
        in transaction: some AsyncStoreTransaction
    ) async throws -> JobHandle<J> {
        let answers = try await transaction.insert([prepare(job, options: options)], into: store)
        guard let answer = answers.first else { throw StoreError(.corrupt, "the store gave no answer to an insert") }
        return JobHandle(try EnqueueResult(answer), client: self)
    }
}
