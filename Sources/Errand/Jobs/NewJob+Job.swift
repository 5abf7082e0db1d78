// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension NewJob {
    /// The job of a type, with what this enqueue wants different from it.
    /// - Throws: An encoding error, or that of the type's unique key.
    init<J: Job>(_ job: J, options: EnqueueOptions, id: JobID, trace: [String: String]) throws {
        self.init(
            id: id,
            name: J.name,
            payload: try PayloadCoder.encode(job, version: J.version),
            queue: options.queue ?? J.queue,
            priority: options.priority ?? J.priority,
            start: options.start,
            startWithin: options.startWithin.map(\.duration) ?? J.startWithin,
            deadline: options.deadline.map(\.duration) ?? J.deadline,
            timeout: options.timeout.map(\.duration) ?? J.timeout,
            retry: options.retry ?? J.retry,
            crashesAllowed: J.crashesAllowed,
            unique: try options.unique ?? J.unique?.rule(for: job),
            tags: options.tags,
            headers: options.headers,
            trace: trace,
            resultTTL: options.resultTTL ?? J.resultTTL
        )
    }
}
