// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Configuration

extension WorkerConfiguration {
    /// Reads the configuration; what is not given keeps its default. Queues, their weights and retention are code:
    /// they follow from the jobs, not from the machine.
    ///
    /// - Configuration keys, all optional:
    ///   - `concurrency` (int): jobs at once
    ///   - `readAhead` (int): short jobs claimed beyond the free slots
    ///   - `threads` (int): threads for handlers
    ///   - `pollIntervalMs` (int): time between two looks without a signal, in milliseconds
    ///   - `idlePollIntervalMs` (int): the same while nothing happens, in milliseconds
    ///   - `beatIntervalMs` (int): time between two beats, in milliseconds
    ///   - `fenceAfterMs` (int): time without a beat after which leases are not trusted, in milliseconds
    ///   - `deadAfterMs` (int): silence after which other workers are dead, in milliseconds
    ///   - `graceMs` (int): time for a cancelled handler to end, in milliseconds
    ///   - `maintenanceIntervalMs` (int): time between two rounds of maintenance, in milliseconds
    ///   - `noteIntervalMs` (int): least time between two writes of progress and log lines, in milliseconds
    ///   - `blockingThresholdMs` (int): held-thread time that is logged, in milliseconds
    ///   - `orphanAlarmAfterMs` (int): age of an unknown job that raises the alarm, in milliseconds
    ///   - `shutdown.cancelAfterMs`, `shutdown.giveBackAfterMs`, `shutdown.exitAfterMs` (int): the steps of stopping,
    ///     in milliseconds after the signal
    ///   - `version` (string): the application's version
    ///
    /// - Parameter reader: Where to read from; scope it, for example to `worker`.
    /// - Throws: ``ErrandError`` with code `invalidConfiguration` that names the key when a value cannot be used.
    public init(reader: ConfigReader) throws {
        self.init()
        try reader.set(&concurrency, "concurrency", atLeast: 1)
        try reader.set(&readAhead, "readAhead", atLeast: 0)
        try reader.set(&threads, "threads", atLeast: 1)
        try reader.set(&pollInterval, "pollIntervalMs")
        try reader.set(&idlePollInterval, "idlePollIntervalMs")
        try reader.set(&beatInterval, "beatIntervalMs")
        try reader.set(&fenceAfter, "fenceAfterMs")
        try reader.set(&deadAfter, "deadAfterMs")
        try reader.set(&grace, "graceMs")
        try reader.set(&maintenanceInterval, "maintenanceIntervalMs")
        try reader.set(&noteInterval, "noteIntervalMs")
        try reader.set(&blockingThreshold, "blockingThresholdMs")
        try reader.set(&orphanAlarmAfter, "orphanAlarmAfterMs")
        try reader.set(&shutdown.cancelAfter, "shutdown.cancelAfterMs")
        try reader.set(&shutdown.giveBackAfter, "shutdown.giveBackAfterMs")
        try reader.set(&shutdown.exitAfter, "shutdown.exitAfterMs")
        if let text = reader.string(forKey: "version") { version = text }
        if let problem { throw ErrandError(.invalidConfiguration, problem) }
    }
}
