// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How a worker claims, runs and stops.
public struct WorkerConfiguration: Sendable {
    /// How a worker serves one queue.
    public struct Queue: Sendable, Hashable {
        /// The most jobs of the queue that run at once; `nil` for as many as the worker runs at all.
        public var slots: Int?
        /// Its share when several queues have work, from 1.
        public var weight: Int

        /// A queue's settings.
        public init(slots: Int? = nil, weight: Int = 1) {
            self.slots = slots
            self.weight = weight
        }
    }

    /// The most jobs that run at once; 16.
    public var concurrency = 16
    /// The queues to serve. Empty, the default, serves `default` and the queues of all registered job types.
    public var queues: [QueueName: Queue] = [:]
    /// Set to serve queues strictly in this order instead of by weight: the first that has work, always.
    public var strictOrder: [QueueName] = []
    /// The most jobs that are claimed beyond the free slots when jobs are so short that a claim's round trip
    /// would leave slots idle; 2,000. Never more than end during four round trips, some milliseconds: long jobs are not
    /// claimed ahead.
    public var readAhead = 2000
    /// The threads that run handlers; `nil`, the default, for one per core, at least 2. Handlers may suspend, so
    /// this is not the number of jobs.
    public var threads: Int?
    /// How often the store is asked although no signal came; 1 s, stretched up to ``idlePollInterval``.
    public var pollInterval: Duration = .seconds(1)
    /// The longest stretch of the poll while nothing happens; 5 s.
    public var idlePollInterval: Duration = .seconds(5)
    /// How often the worker beats; 5 s.
    public var beatInterval: Duration = .seconds(5)
    /// A worker that could not beat for this long stops trusting its leases; 20 s.
    public var fenceAfter: Duration = .seconds(20)
    /// A worker that was silent for this long in store time is dead to the others; 30 s. Must be longer than
    /// ``fenceAfter``.
    public var deadAfter: Duration = .seconds(30)
    /// How long a handler that was told to stop may take before its slot is taken from it; 10 s.
    public var grace: Duration = .seconds(10)
    /// How often maintenance looks; 5 s.
    public var maintenanceInterval: Duration = .seconds(5)
    /// How long finished jobs are kept.
    public var retention = RetentionPolicy()
    /// The least time between two writes of what running jobs say; 1 s.
    public var noteInterval: Duration = .seconds(1)
    /// How long a handler may hold a thread without suspending before it is named in the log; 5 s.
    public var blockingThreshold: Duration = .seconds(5)
    /// How long a ready job may wait for a worker that knows its name before the alarm; 60 s.
    public var orphanAlarmAfter: Duration = .seconds(60)
    /// How the worker decides the ticks of schedules; `nil` for a worker that only does jobs.
    public var scheduler: SchedulerConfiguration? = SchedulerConfiguration()
    /// The steps of stopping.
    public var shutdown = WorkerShutdown()
    /// The application's version, shown in lists of workers; empty by default.
    public var version = ""

    /// The defaults.
    public init() {}

    /// What makes no sense, as a sentence that says what to change; `nil` when all is well.
    public var problem: String? {
        if concurrency < 1 { return "concurrency is \(concurrency); a worker needs at least 1" }
        if readAhead < 0 { return "readAhead is \(readAhead); use 0 for none" }
        if let threads, threads < 1 { return "threads is \(threads); use nil or at least 1" }
        if fenceAfter <= beatInterval * 2 {
            return "fenceAfter (\(fenceAfter)) must be more than twice beatInterval (\(beatInterval))"
        }
        if deadAfter <= fenceAfter {
            return "deadAfter (\(deadAfter)) must be longer than fenceAfter (\(fenceAfter)), "
                + "or a job could be given away while its worker still trusts its lease"
        }
        for (name, queue) in queues {
            if let problem = name.problem { return problem }
            if queue.weight < 1 { return "the weight of queue '\(name)' is \(queue.weight); use at least 1" }
            if let slots = queue.slots, slots < 1 { return "queue '\(name)' has \(slots) slots; use at least 1" }
        }
        return scheduler?.problem ?? shutdown.problem
    }
}

/// The named steps of stopping, each with the time since the stop signal at which it begins. The defaults end at
/// 25 s, under the 30 s that Kubernetes waits.
public struct WorkerShutdown: Sendable, Hashable {
    /// Claiming stops at once; what still runs is cancelled after this long; 18 s.
    public var cancelAfter: Duration = .seconds(18)
    /// What still runs then is given back after this long; 23 s.
    public var giveBackAfter: Duration = .seconds(23)
    /// The worker returns after this long in any case; 25 s.
    public var exitAfter: Duration = .seconds(25)

    /// The defaults.
    public init() {}

    var problem: String? {
        guard cancelAfter >= .zero, cancelAfter <= giveBackAfter, giveBackAfter <= exitAfter else {
            return "the steps of shutdown must be in order: cancelAfter ≤ giveBackAfter ≤ exitAfter"
        }
        return nil
    }
}
