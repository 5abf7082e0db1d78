// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What was seen while the threads were starved, and what became of the jobs.
struct StarvationFacts: Codable, Sendable {
    struct Job: Codable, Sendable {
        var name: String
        var state: String
        /// How often it was claimed.
        var epoch: Int64
        var crashes: Int
        /// Why it ended so.
        var reason: String?
        var hasResult: Bool
    }

    /// For how long, as measured.
    var seconds = 0.0
    /// Without a sign of life for this long a worker is dead.
    var leaseSeconds = 0.0
    /// Threads that spun or were held.
    var starvedThreads = 0
    /// Tasks that got a turn on a starved thread meanwhile, and how many waited for one.
    var turns = 0
    var waiting = 0
    /// Beats that were answered meanwhile, and the longest time between two of them.
    var beats = 0
    var longestSilence = 0.0
    /// Jobs that another worker took for those of a dead one.
    var rescued = 0
    /// How often the worker itself lost a lease or stopped trusting its leases.
    var leasesLost = 0
    var fences = 0
    /// Jobs whose progress was written meanwhile.
    var progressWritten = 0
    /// The jobs that must not be lost.
    var jobs: [Job] = []

    // About the handler that ignores its cancellation.

    /// The job after the handler was abandoned, and again after its late end.
    var stubborn: Job?
    var stubbornLater: Job?
    /// From the cancellation to the start of the next job in the slot.
    var slotFreedAfter = 0.0
    /// What the health and the gauge `errand_zombies` said while it went on.
    var zombies = 0
    var zombieGauge = 0.0
    /// What they said after its late end.
    var zombiesLater = -1
    var zombieGaugeLater = -1.0
    /// Names of jobs that the watchdog told of.
    var blocking: [String] = []
}
