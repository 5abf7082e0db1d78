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
                "-subj", "/CN=Errand test \(name)", "-keyout", "\(folder)/\(name).key", "-out", "\(folder)/\(name).pem",
            ]
        )
    }

    private static func sign(_ name: String, by issuer: String, extensions: String, in folder: String) throws {
        try extensions.write(toFile: "\(folder)/\(name).ext", atomically: true, encoding: .utf8)
        try openssl(
            [
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                "/CN=Errand test \(name)", "-keyout", "\(folder)/\(name).key", "-out", "\(folder)/\(name).csr",
            ]
        )
        try openssl(
            [
                "x509", "-req", "-in", "\(folder)/\(name).csr", "-CA", "\(folder)/\(issuer).pem", "-CAkey",
                "\(folder)/\(issuer).key", "-CAcreateserial", "-days", "2", "-extfile", "\(folder)/\(name).ext", "-out",
                "\(folder)/\(name).pem",
            ]
        )
    }

    private static func openssl(_ arguments: [String]) throws {
        let program = try TestMachine.program("openssl", in: ["/usr/bin"], install: "Scripts/dependencies.sh test")
        try ChildProcess.run(program, arguments)
    }
}
