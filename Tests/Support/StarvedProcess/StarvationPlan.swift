// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// What is starved, for how long, and on which store.
struct StarvationPlan: Sendable {
    /// Which threads get nothing else done.
    enum Kind: String, Sendable, CaseIterable {
        /// Every thread of Swift's shared pool, of every priority, spins.
        case sharedPool
        /// Every thread of the worker's own pool is held by a handler that blocks.
        case handlerThreads
    }

    enum Mistake: Error { case setting(String) }

    var kind: Kind
    /// The path of an SQLite file; `nil` for a store in memory.
    var file: String?
    /// For how long.
    var length: Duration
    /// A worker as it should not be built: each beat needs a turn on the shared pool.
    var beatsNeedSharedPool: Bool
    /// Threads that spin let other processes go first.
    var isPolite: Bool

    init(_ environment: [String: String]) throws {
        func value(_ name: String) throws -> String {
            guard let value = environment[name] else { throw Mistake.setting(name) }
            return value
        }
        guard let kind = Kind(rawValue: try value("STARVED")) else { throw Mistake.setting("STARVED") }
        guard let seconds = Double(try value("STARVATION_SECONDS")) else { throw Mistake.setting("STARVATION_SECONDS") }
        self.kind = kind
        file = environment["STARVED_FILE"]
        length = .milliseconds(Int(seconds * 1000))
        beatsNeedSharedPool = environment["BEATS_NEED_SHARED_POOL"] == "yes"
        isPolite = environment["STARVED_POLITELY"] == "yes"
    }

    /// How long a worker may be silent before others take its jobs: the starvation lasts for five of them.
    var lease: Duration { length / 5 }

    /// A worker whose times are in proportion to the lease as the defaults are.
    var configuration: WorkerConfiguration {
        var configuration = WorkerConfiguration()
        configuration.deadAfter = lease
        configuration.fenceAfter = lease * 2 / 3
        configuration.beatInterval = lease / 6
        configuration.maintenanceInterval = lease / 6
        // Who does not beat stops its handlers itself; one that ignores that is what others must rescue.
        configuration.grace = beatsNeedSharedPool ? length : lease / 3
        configuration.blockingThreshold = lease / 4
        return configuration
    }
}
