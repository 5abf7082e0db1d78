// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A file that its owner keeps locked while it is open, so that others can tell it from a leftover.
///
/// Between the making of a file and its lock somebody may take it for a leftover and unlink it. So both sides look
/// after they have the lock: the owner whether the file at the path is still its own, and makes another if not; the
/// other whether it removes the file it has locked and not a newer one.
enum LockFile {
    /// Makes a file of our own and locks it.
    /// - Parameter beforeLock: For tests: runs between the making and the lock.
    /// - Returns: The open file; `nil` when the folder does not let us, or somebody else keeps it for 200 ms.
    static func take(_ path: String, beforeLock: () -> Void = {}) -> Int32? {
        var wait = BusyWait(limit: .milliseconds(200))
        while true {
            // O_CLOEXEC: a child process must not keep the lock.
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
            guard file >= 0 else { return nil }
            beforeLock()
            if flock(file, LOCK_EX | LOCK_NB) == 0, isAt(path, file) { return file }
            close(file)
            guard wait.pause() else { return nil }
        }
    }

    /// Whether the owner of a file is there; a leftover is removed.
    static func hasOwner(_ path: String) -> Bool {
        let file = open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0, isAt(path, file) else { return true }
        unlink(path)
        return false
    }

    /// Whether the path still leads to the open file.
    private static func isAt(_ path: String, _ file: Int32) -> Bool {
        var (there, ours) = (stat(), stat())
        guard stat(path, &there) == 0, fstat(file, &ours) == 0 else { return false }
        return there.st_ino == ours.st_ino && there.st_dev == ours.st_dev
    }
}
