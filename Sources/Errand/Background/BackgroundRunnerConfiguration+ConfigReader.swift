// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Configuration

extension BackgroundRunnerConfiguration {
    /// Reads the configuration; what is not given keeps its default.
    ///
    /// - Configuration keys, all optional:
    ///   - `concurrency` (int): tasks at once
    ///   - `queueLimit` (int): tasks that may wait
    ///   - `overflow` (string): `wait`, `shed` or `callerRuns`
    ///   - `tasksPerRequest` (int): tasks one request may add
    ///   - `timeoutMs` (int): time for an attempt in milliseconds; 0 for no limit
    ///   - `cancellationGraceMs` (int): time for a timed-out task to end, in milliseconds
    ///   - `slowThresholdMs` (int): age at which a task is logged as slow, in milliseconds
    ///   - `executor` (string): `own` or `shared`
    ///   - `executorThreads` (int): threads for tasks
    ///   - `blockingThreads` (int): threads for `addBlocking`
    ///   - `blockingThresholdMs` (int): held-thread time that is logged, in milliseconds
    ///   - `sharedPoolProbeMs` (int): interval of the probe in milliseconds; 0 for none
    ///   - `sharedPoolThresholdMs` (int): shared-pool wait that is logged, in milliseconds
    ///   - `flushTimeoutMs` (int): time to store staged jobs, in milliseconds
    ///   - `drainMs` (int): time for tasks to go on at shutdown, in milliseconds
    ///   - `drainGraceMs` (int): time for cancelled tasks to end, in milliseconds
    ///   - `shutdownDeadlineMs` (int): time for the whole shutdown, in milliseconds
    ///   - `trace` (string): `child` or `link`
    ///
    /// - Parameter reader: Where to read from; scope it, for example to `background`.
    /// - Throws: ``ErrandError`` with code `invalidConfiguration` that names the key when a value cannot be used.
    public init(reader: ConfigReader) throws {
        self.init()
        try reader.set(&concurrency, "concurrency", atLeast: 1)
        try reader.set(&queueLimit, "queueLimit", atLeast: 0)
        try reader.set(&overflow, "overflow")
        try reader.set(&tasksPerRequest, "tasksPerRequest", atLeast: 1)
        try reader.set(&timeout, "timeoutMs")
        try reader.set(&cancellationGrace, "cancellationGraceMs")
        try reader.set(&slowThreshold, "slowThresholdMs")
        try reader.set(&executor, "executor")
        try reader.set(&executorThreads, "executorThreads", atLeast: 1)
        try reader.set(&blockingThreads, "blockingThreads", atLeast: 1)
        try reader.set(&blockingThreshold, "blockingThresholdMs")
        try reader.set(&sharedPoolProbe, "sharedPoolProbeMs")
        try reader.set(&sharedPoolThreshold, "sharedPoolThresholdMs")
        try reader.set(&flushTimeout, "flushTimeoutMs")
        try reader.set(&drain, "drainMs")
        try reader.set(&drainGrace, "drainGraceMs")
        try reader.set(&shutdownDeadline, "shutdownDeadlineMs")
        try reader.set(&trace, "trace")
    }
}
