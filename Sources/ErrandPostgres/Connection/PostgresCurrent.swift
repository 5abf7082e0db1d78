// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The canceller of a connection, where other threads find it while the connection is busy.
final class PostgresCurrent: Sendable {
    private let canceller = Mutex<PostgresCanceller?>(nil)

    var current: PostgresCanceller? { canceller.withLock { $0 } }

    func set(_ canceller: PostgresCanceller?) {
        self.canceller.withLock { $0 = canceller }
    }
}
