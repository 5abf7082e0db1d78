// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Hears what happens to the files of one folder, from its making until nobody keeps it.
///
/// The events come one after the other on a thread or queue that is not the cooperative pool's. One more may come
/// while the watch is given up.
final class FolderWatch: Sendable {
    enum Event: Sendable, Hashable {
        case appeared(String)
        case disappeared(String)
        case wrote(String)
        /// The system dropped events: anything may have happened.
        case missedSome
    }

    private let end: @Sendable () -> Void

    /// Starts to watch; `nil` when the system does not let us (no folder, or no watch left for this user).
    init?(_ folder: String, _ body: @escaping @Sendable (Event) -> Void) {
        #if os(Linux)
        guard let key = InotifyThread.shared.add(folder, body) else { return nil }
        end = { InotifyThread.shared.remove(key) }
        #else
        guard let watcher = VnodeWatcher(folder, body) else { return nil }
        end = { watcher.finish() }
        #endif
    }

    deinit { end() }
}
