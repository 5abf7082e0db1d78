// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

/// How a ``SQLiteStore`` uses its file.
public struct SQLiteConfiguration: Sendable {
    /// How this process learns that another one wrote.
    public enum WakeUp: Sendable, Hashable {
        /// Each process watches a small file of every other one, beside the database; a write is seen within about
        /// a millisecond. A process that is alone pays nothing.
        case watch
        /// Not at all; workers and waiting callers find out when they poll.
        case poll
    }

    /// What an acknowledged write survives: `.powerLoss` (`synchronous=FULL`, the default) or `.processCrash`
    /// (`synchronous=NORMAL`), which is faster and loses what was written since the last checkpoint when the power
    /// goes.
    ///
    /// `.none` is taken as `.processCrash`.
    public var durability: StoreDescription.Durability = .powerLoss

    /// How long a write waits while another process writes, before it fails with
    /// ``/ErrandCore/StoreError/Code/unavailable``.
    ///
    /// 5 s.
    public var busyTimeout: Duration = .seconds(5)

    /// The most connections that read at the same time.
    ///
    /// 4.
    public var readers: Int = 4

    /// How many pages of 4 KiB the write-ahead log holds before it is copied into the database file.
    ///
    /// Larger writes fewer bytes, smaller keeps the log short. 4,000 pages.
    public var checkpointPages: Int = 4000

    /// The most bytes the log file keeps on disk after it was copied.
    ///
    /// 64 MiB.
    public var logFileLimit: Int = 64 << 20

    /// The most calls that share one commit.
    ///
    /// 64, so that the first of many callers is not kept waiting by the last.
    public var callsPerCommit: Int = 64

    /// The most jobs that share one commit; a single call may be larger.
    ///
    /// 20,000.
    public var jobsPerCommit: Int = 20_000

    /// How this process learns that another one wrote.
    ///
    /// `.watch`.
    public var wakeUp: WakeUp = .watch

    /// Refuse file systems on which SQLite loses data when several machines use them.
    ///
    /// Switch it off only for one that is known to lock correctly. True.
    public var refusesNetworkFileSystems = true

    /// The defaults.
    public init() {}

    /// The defaults with this durability.
    public init(durability: StoreDescription.Durability) {
        self.durability = durability
    }
}
