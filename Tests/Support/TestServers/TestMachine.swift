// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation

#if canImport(Glibc)
public import Glibc
#elseif canImport(Darwin)
public import Darwin
#endif

/// What the fixtures share.
public enum TestMachine {
    /// The user that servers run as when the tests run as root, because PostgreSQL refuses root.
    public static var serverUser: (id: uid_t, group: gid_t)? {
        for name in ["postgres", "nobody"] {
            if let entry = getpwnam(name) { return (entry.pointee.pw_uid, entry.pointee.pw_gid) }
        }
        return nil
    }

    /// A fresh folder that the server's user can write, short enough for the path of a socket; removed when the tests end.
    public static func folder(_ name: String) throws -> String {
        let base = NSTemporaryDirectory().utf8.count < 60 && geteuid() != 0 ? NSTemporaryDirectory() : "/tmp"
        var template = Array("\(base)/errand-\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestServerError("no folder can be made under \(base)") }
        let path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        ChildWatch.shared.add(folder: path)
        if geteuid() == 0, let user = serverUser { chown(path, user.id, user.group) }
        return path
    }

    /// The first of these programs that is there.
    public static func program(_ name: String, in folders: [String], install: String) throws -> String {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for folder in folders + path where access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
        throw TestServerError("\(name) is not installed; install it: \(install)")
    }
}
