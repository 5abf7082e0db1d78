// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation

#if canImport(Darwin)
import Darwin
#endif

/// Whether SQLite can be trusted on a file system.
///
/// The write-ahead log needs memory shared by all processes that use the file, which no network file system has:
/// two machines, or a lock daemon that forgets, damage the database without an error.
enum FileSystemCheck {
    /// Refuses a database whose folder is on a file system of this kind, if that is a network's.
    static func refuseNetwork(_ kind: String, folder: String) throws(StoreError) {
        guard isNetwork(kind) else { return }
        throw StoreError(
            .unsupported,
            "'\(folder)' is on a network file system (\(kind)), where SQLite loses data; "
                + "put the database on a local disk or use a store that is a server"
        )
    }

    /// Whether a kind of file system, by the word of the mount table, may be used by several machines or cannot
    /// share memory.
    ///
    /// FUSE is whatever somebody wrote, so only those known to be local pass.
    static func isNetwork(_ kind: String) -> Bool {
        if kind.hasPrefix("fuse") { return !localFUSE.contains(kind) }
        return network.contains(kind)
    }

    private static let network: Set<String> = [
        "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "gfs2", "ocfs2", "coda", "ncpfs",
        "glusterfs", "beegfs", "gpfs", "panfs", "orangefs", "pvfs2", "webdav", "afpfs", "acfs", "cvfs", "smb",
        // Folders that a virtual machine shares with its host: memory is shared on each side, not between them.
        "virtiofs", "AppleVirtIOFS", "vboxsf", "prl_fs", "vmhgfs", "fakeowner", "drvfs",
    ]

    private static let localFUSE: Set<String> = [
        "fuseblk", "fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.ext4", "fuse.mergerfs", "fuse.gocryptfs",
        "fuse.encfs", "fuse.bindfs",
    ]

    /// The word of the mount table for the file system of a folder; `nil` when it cannot be found out.
    static func kind(ofFolder folder: String) -> String? {
        #if canImport(Darwin)
        var info = statfs()
        guard statfs(folder, &info) == 0 else { return nil }
        return withUnsafeBytes(of: info.f_fstypename) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        #else
        let path = URL(fileURLWithPath: folder).resolvingSymlinksInPath().path
        guard let table = try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8) else { return nil }
        return kind(of: path, in: table)
        #endif
    }

    /// The kind of the file system that holds an absolute path without links, from Linux's `mountinfo`: the longest
    /// mount point above it, and of equal ones the last, which covers the others.
    static func kind(of path: String, in table: String) -> String? {
        var best: (length: Int, kind: String)?
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count else { continue }
            let point = unescaped(fields[4])
            guard point == "/" || path == point || path.hasPrefix(point + "/") else { continue }
            if let found = best, found.length > point.utf8.count { continue }
            best = (point.utf8.count, String(fields[dash + 1]))
        }
        return best?.kind
    }

    /// The mount table writes blanks and the like as three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest.removeFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
