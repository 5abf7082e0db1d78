// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Tells the other processes that use the same file that this one wrote, and hears them.
///
/// Each store has a file of its own in a folder beside the database and touches it after a commit that matters;
/// each watches the folder and does not mind its own file. Their presence also says whether there is anybody to
/// tell: a process that is alone writes and wakes nothing. A hint only; whoever waits also polls.
final class SQLiteSignals: Sendable {
    private struct State {
        /// The files of other stores.
        var others: Set<String> = []
        var isStopped = false
    }

    private let folder: String
    private let name: String
    private let hub: LocalHub
    private let state = Mutex(State())
    /// The own file, locked as long as the store is open, so that others can tell a leftover.
    private let file: Int32
    private let watch = Mutex<FolderWatch?>(nil)

    private static let suffix = ".wake"

    /// Makes the own file and starts to watch; `nil` when the folder does not let us.
    init?(folder: String, id: String, hub: LocalHub) {
        self.folder = folder
        self.hub = hub
        name = id + Self.suffix
        guard let file = LockFile.take("\(folder)/\(name)") else { return nil }
        self.file = file
        guard let watch = FolderWatch(folder, { [weak self] event in self?.hear(event) }) else { return nil }
        self.watch.withLock { $0 = watch }
        // After the watch began: whoever comes in between is seen twice, not never.
        scan()
    }

    /// A store that could not be opened to its end is dropped without a `close`.
    deinit { close() }

    /// Whether another open store uses the same file, as far as is known.
    var hasCompany: Bool { state.withLock { !$0.others.isEmpty } }

    /// Tells the others, if there are any.
    func touch() {
        // The lock is held over the write so that `close` cannot hand the descriptor to somebody else.
        state.withLock { state in
            guard !state.isStopped, !state.others.isEmpty else { return }
            var byte: UInt8 = 1
            _ = pwrite(file, &byte, 1, 0)
        }
    }

    /// Ends the watch and removes the own file.
    func close() {
        let isFirst = state.withLock { state in
            defer { state.isStopped = true }
            return !state.isStopped
        }
        guard isFirst else { return }
        watch.withLock { $0 = nil }
        unlink("\(folder)/\(name)")
        closeFile(file)
    }

    /// Looks who is there; removes what the dead left.
    private func scan() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for other in names where other.hasSuffix(Self.suffix) && other != name {
            guard LockFile.hasOwner("\(folder)/\(other)") else { continue }
            _ = state.withLock { $0.others.insert(other) }
            // It may have gone before the insert, and nobody says so again.
            guard access("\(folder)/\(other)", F_OK) != 0 else { continue }
            _ = state.withLock { $0.others.remove(other) }
        }
    }

    private func hear(_ event: FolderWatch.Event) {
        switch event {
        case .appeared(let other) where isSignal(other):
            _ = state.withLock { $0.others.insert(other) }
        case .disappeared(let other):
            _ = state.withLock { $0.others.remove(other) }
        case .wrote(let other) where isSignal(other):
            let isOpen = state.withLock { state in
                state.others.insert(other)
                return !state.isStopped
            }
            if isOpen { hub.publish(.elsewhere) }
        case .missedSome:
            hub.publish(.elsewhere)
        case .appeared, .wrote:
            break
        }
    }

    private func isSignal(_ other: String) -> Bool {
        other.hasSuffix(Self.suffix) && other != name
    }
}

/// `close` under a name that the method of the class does not hide.
private func closeFile(_ file: Int32) { close(file) }
