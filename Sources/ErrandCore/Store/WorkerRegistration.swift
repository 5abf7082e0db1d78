// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A worker as it makes itself known when it starts.
public struct WorkerRegistration: Sendable, Hashable {
    /// Its fresh identity.
    public var id: WorkerID
    /// The machine's name, for people.
    public var host: String
    /// The process id, for people; liveness never depends on it.
    public var pid: Int
    /// The application's version, for people.
    public var version: String
    /// The names it can run, each with the highest payload version.
    public var names: [JobName: Int]
    /// The most jobs it runs at once, by queue.
    public var slots: [QueueName: Int]

    /// A registration.
    public init(
        id: WorkerID,
        host: String,
        pid: Int,
        version: String,
        names: [JobName: Int],
        slots: [QueueName: Int]
    ) {
        self.id = id
        self.host = host
        self.pid = pid
        self.version = version
        self.names = names
        self.slots = slots
    }
}

/// A worker as the store knows it.
public struct WorkerRecord: Sendable, Hashable {
    /// What it said when it started.
    public var registration: WorkerRegistration
    /// When it started, in store time.
    public var startedAt: Timestamp
    /// Its last beat, in store time.
    public var lastSeen: Timestamp
    /// How many jobs it holds.
    public var running: Int

    /// A record.
    public init(registration: WorkerRegistration, startedAt: Timestamp, lastSeen: Timestamp, running: Int) {
        self.registration = registration
        self.startedAt = startedAt
        self.lastSeen = lastSeen
        self.running = running
    }
}

/// One heartbeat: the worker is alive, and these are the leases it knows it holds.
public struct Beat: Sendable, Hashable {
    /// Who beats.
    public var worker: WorkerID
    /// Every lease it holds, whether the job runs or waits in its read-ahead.
    public var held: [Lease]
    /// Every lease granted to this worker at or before this store time is in ``held`` or settled; a running
    /// job of this worker from before that is not listed is the orphan of a lost answer, and the store gives
    /// it back. `nil` while a claim is under way that could be older.
    public var accountedThrough: Timestamp?

    /// A beat.
    public init(worker: WorkerID, held: [Lease], accountedThrough: Timestamp?) {
        self.worker = worker
        self.held = held
        self.accountedThrough = accountedThrough
    }

    /// Whether a lease of this worker that was granted at `instant` must be among those it lists, or else is the
    /// orphan of a lost answer. One granted in what is the future now is from before the clock was set back: it is
    /// older than anything that this beat could have missed.
    package func accounts(for instant: Timestamp, through accounted: Timestamp, at now: Timestamp) -> Bool {
        instant <= accounted || instant > now
    }
}

/// The answer to a beat.
public struct BeatAnswer: Sendable, Hashable {
    /// False when the store declared the worker dead and rescued its jobs: all leases are lost, and the worker
    /// must register under a new identity.
    public var isKnown: Bool
    /// Listed leases that no longer hold. Leases, not jobs: a worker may have claimed a job anew while its earlier
    /// attempt at it, which it lost, has not come to its end.
    public var lost: [Lease]
    /// Listed jobs that somebody wants stopped.
    public var cancels: [JobID: CancelRequest]
    /// How many orphans of lost answers were given back.
    public var released: Int
    /// Store time.
    public var at: Timestamp

    /// An answer.
    public init(
        isKnown: Bool,
        lost: [Lease] = [],
        cancels: [JobID: CancelRequest] = [:],
        released: Int = 0,
        at: Timestamp
    ) {
        self.isKnown = isKnown
        self.lost = lost
        self.cancels = cancels
        self.released = released
        self.at = at
    }
}
