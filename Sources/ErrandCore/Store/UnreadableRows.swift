// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What this store met and could not read since it was opened: damaged, or written by a newer build.
package final class UnreadableRows: Sendable {
    private let found = Mutex<[String: String]>([:])
    /// More are not told apart; one is reason enough to look.
    private static let most = 1000

    /// Nothing was met yet.
    package init() {}

    /// Remembers a thing and why it could not be read; noting it again is harmless.
    package func note(_ thing: String, _ why: String) {
        found.withLock { found in
            if found.count < Self.most || found[thing] != nil { found[thing] = why }
        }
    }

    /// A sentence for whoever looks after the store; `nil` when everything could be read.
    package var warning: String? {
        found.withLock { found in
            guard let first = found.keys.min(), let why = found[first] else { return nil }
            return
                "\(found.count) stored rows cannot be read by this build, the first of them \(first) (\(why)); those of "
                + "jobs are held: restore them from a backup or start the build that wrote them, then release them"
        }
    }
}
