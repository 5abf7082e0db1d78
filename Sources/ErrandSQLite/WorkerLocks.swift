// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// One locked file for each worker of this process, in a folder beside the database.
///
/// The kernel drops a lock when its holder dies, however it dies, so whoever obtains the lock of another worker
/// knows at once that it is gone. A process id would lie: it is reused, and means something else in the next
/// container. A stopped process keeps its locks; silence and the epoch take care of it.
final class WorkerLocks: Sendable {
    private let folder: String
    private let held = Mutex<[WorkerID: Int32]>([:])

    /// Locks in this folder, which must exist.
    init(folder: String) {
        self.folder = folder
    }

    /// Takes the lock of a worker of this process; false when the folder does not let us, and then only silence
    /// tells that the worker died.
    func take(_ worker: WorkerID) -> Bool {
        held.withLock { held in
            if held[worker] != nil { return true }
            // O_CLOEXEC: a child process must not keep a dead worker alive.
            let file = open(path(of: worker), O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
            guard file >= 0 else { return false }
            guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
                close(file)
                return false
            }
            held[worker] = file
            return true
        }
    }

    /// Whether a worker with a lock is certainly dead.
    ///
    /// Its file stays, because what is done about it may be rolled back; see ``release(_:)``.
    func isGone(_ worker: WorkerID) -> Bool {
        held.withLock { held in
            guard held[worker] == nil else { return false }
            // A missing file proves nothing: somebody may have cleaned up while the worker lives.
            let file = open(path(of: worker), O_RDWR | O_CLOEXEC)
            guard file >= 0 else { return false }
            defer { close(file) }
            return flock(file, LOCK_EX | LOCK_NB) == 0
        }
    }

    /// Removes the lock of a worker that stopped or was found dead, once that is committed.
    func release(_ worker: WorkerID) {
        held.withLock { held in
            unlink(path(of: worker))
            if let file = held.removeValue(forKey: worker) { close(file) }
        }
    }

    /// Drops all locks and leaves the files, as the death of the process would: whoever comes next finds the
    /// workers gone.
    func drop() {
        held.withLock { held in
            for file in held.values { close(file) }
            held.removeAll()
        }
    }

    private func path(of worker: WorkerID) -> String { "\(folder)/\(worker).lock" }
}
