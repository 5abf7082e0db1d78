// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Synchronization

/// A job of the run path. Number 1 fails at its first try, number 2 has something to say.
struct Parcel: Job {
    typealias Output = Int
    static let name: JobName = "parcel"
    static let retry = RetryPolicy.attempts(5, backoff: .fixed(.seconds(1)))
    static let timeout: Duration? = nil
    let number: Int
}

/// How often the handler ran, by the number of the job.
final class ParcelRuns: Sendable {
    private let counts = Mutex<[Int: Int]>([:])

    func add(_ number: Int) -> Int {
        counts.withLock { counts in
            counts[number, default: 0] += 1
            return counts[number, default: 0]
        }
    }

    subscript(number: Int) -> Int { counts.withLock { $0[number] ?? 0 } }
}

/// How many attempts have started and have not come to their end in the store, or lost it.
final class OpenAttempts: Sendable {
    private let open = Mutex(0)

    func hear(_ event: ErrandEvent) {
        switch event {
        case .started: open.withLock { $0 += 1 }
        case .ended, .leaseLost: open.withLock { $0 -= 1 }
        default: break
        }
    }

    var areOver: Bool { open.withLock { $0 == 0 } }
}
