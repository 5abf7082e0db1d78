// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestServers

/// A server with a certificate for `localhost` that an intermediate authority signed.
final class TLSServer: Sendable {
    let server: PostgresServer
    let root: String
    let otherRoot: String

    init() throws {
        server = try PostgresServer()
        let certificates = try TestCertificates(in: server.folder, for: "DNS:localhost")
        (root, otherRoot) = (certificates.root, certificates.stranger)
        try server.write(String(contentsOfFile: certificates.chain, encoding: .utf8), to: "data/server.crt")
        try server.write(String(contentsOfFile: certificates.key, encoding: .utf8), to: "data/server.key")
        try server.psql("ALTER SYSTEM SET ssl = on")
        try server.restart()
    }

    func url(host: String, root: String) -> String {
        "host=\(host) port=\(server.port) user=\(server.superuser) dbname=postgres sslmode=verify-full sslrootcert=\(root)"
    }

    func remove() { server.remove() }
}
