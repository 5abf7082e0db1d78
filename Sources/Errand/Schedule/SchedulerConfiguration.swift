// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How a scheduler waits.
public struct SchedulerConfiguration: Sendable, Hashable {
    /// The longest wait while a schedule fires more often than every 15 s; 1 s.
    public var pollInterval: Duration = .seconds(1)
    /// The longest wait otherwise; 15 s. Changes of schedules are heard at once, so this matters when a signal is lost.
    public var idlePollInterval: Duration = .seconds(15)
    /// The most schedules decided in one write; 100.
    public var batchLimit = 100
    /// A store whose clock gains more than this on the host's between two looks is not believed; 30 s.
    public var clockTolerance: Duration = .seconds(30)
    /// For this long; 60 s.
    public var clockDistrust: Duration = .seconds(60)

    /// The defaults.
    public init() {}

    /// What makes no sense, as a sentence that says what to change; `nil` when all is well.
    public var problem: String? {
        if batchLimit < 1 { return "batchLimit is \(batchLimit); use at least 1" }
        if pollInterval <= .zero { return "pollInterval is \(pollInterval); use a positive duration" }
        if idlePollInterval < pollInterval {
            return "idlePollInterval (\(idlePollInterval)) is shorter than pollInterval (\(pollInterval))"
        }
        return nil
    }
}
