// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The only source of chance in Errand: ids, jitter. Tests pass a seeded one and get the same choices again.
public final class Chance: Sendable {
    private let generator: Mutex<any RandomNumberGenerator & Sendable>

    /// Chance from this generator.
    public init(_ generator: any RandomNumberGenerator & Sendable) {
        self.generator = Mutex(generator)
    }

    /// The system's secure generator.
    public static let system = Chance(SystemRandom())

    /// Runs `body` with exclusive use of the generator; keep it short.
    public func draw<Value: Sendable>(_ body: (inout any RandomNumberGenerator & Sendable) -> Value) -> Value {
        generator.withLock { body(&$0) }
    }

    /// A new job id.
    public func jobID(at now: Timestamp) -> JobID {
        draw { JobID(at: now, using: &$0) }
    }

    /// A new worker identity.
    public func workerID(at now: Timestamp) -> WorkerID {
        draw { WorkerID(at: now, using: &$0) }
    }
}
