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
        file = open("\(folder)/\(name)", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { return nil }
        guard flock(file, LOCK_EX | LOCK_NB) == 0,
            let watch = FolderWatch(folder, { [weak self] event in self?.hear(event) })
        else {
            remove()
            return nil
        }
        self.watch.withLock { $0 = watch }
        // After the watch began: whoever comes in between is seen twice, not never.
        scan()
    }

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
        remove()
    }

    private func remove() {
        unlink("\(folder)/\(name)")
        closeFile(file)
    }

    /// Looks who is there; removes what the dead left.
    private func scan() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for other in names where other.hasSuffix(Self.suffix) && other != name {
            let path = "\(folder)/\(other)"
            let file = open(path, O_RDWR | O_CLOEXEC)
            guard file >= 0 else { continue }
            if flock(file, LOCK_EX | LOCK_NB) == 0 {
                unlink(path)
            } else {
                _ = state.withLock { $0.others.insert(other) }
            }
            closeFile(file)
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
