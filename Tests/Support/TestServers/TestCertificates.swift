// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// A certificate with a real chain (root, issuer, server), made for one test run.
public struct TestCertificates: Sendable {
    /// The root that a client has to trust.
    public let root: String
    /// The server's certificate with that of its issuer.
    public let chain: String
    /// The server's key.
    public let key: String
    /// A root that signed nothing here.
    public let stranger: String

    /// Makes them in a folder, with the `openssl` program.
    public init(in folder: String, for names: String = "DNS:localhost,IP:127.0.0.1") throws {
        root = "\(folder)/root.pem"
        chain = "\(folder)/chain.pem"
        key = "\(folder)/server.key"
        stranger = "\(folder)/stranger.pem"
        try Self.authority("root", in: folder)
        try Self.authority("stranger", in: folder)
        let authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
        try Self.sign("issuer", by: "root", extensions: authority, in: folder)
        let server = "basicConstraints=CA:FALSE\nsubjectAltName=\(names)\n"
        try Self.sign("server", by: "issuer", extensions: server, in: folder)
        let parts = try ["server", "issuer"].map { try String(contentsOfFile: "\(folder)/\($0).pem", encoding: .utf8) }
        try parts.joined().write(toFile: chain, atomically: true, encoding: .utf8)
    }

    private static func authority(_ name: String, in folder: String) throws {
        try openssl(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=Errand test \(name)", "-keyout", "\(name).key", "-out", "\(name).pem",
            ],
            in: folder
        )
    }

    private static func sign(_ name: String, by issuer: String, extensions: String, in folder: String) throws {
        try extensions.write(toFile: "\(folder)/\(name).ext", atomically: true, encoding: .utf8)
        try openssl(
            [
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                "/CN=Errand test \(name)", "-keyout", "\(name).key", "-out", "\(name).csr",
            ],
            in: folder
        )
        try openssl(
            [
                "x509", "-req", "-in", "\(name).csr", "-CA", "\(issuer).pem", "-CAkey", "\(issuer).key",
                "-CAcreateserial",
                "-days", "2", "-extfile", "\(name).ext", "-out", "\(name).pem",
            ],
            in: folder
        )
    }

    private static func openssl(_ arguments: [String], in folder: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try WatchedProcess.spawning.withLock { _ in try process.run() }
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw TestServerError("openssl \(arguments[0]) failed; install openssl: Scripts/dependencies.sh test")
        }
    }
}
