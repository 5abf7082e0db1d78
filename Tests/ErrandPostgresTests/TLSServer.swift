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
        let folder = server.folder
        (root, otherRoot) = ("\(folder)/root.crt", "\(folder)/other.crt")
        let openssl = try TestMachine.program("openssl", in: ["/usr/bin"], install: "apt-get install openssl")
        func run(_ line: String) throws {
            try ServerProcess.run(openssl, line.split(separator: " ").map(String.init), log: "\(folder)/openssl.log")
        }
        for name in ["root", "other"] {
            try run(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=\(name) "
                    + "-keyout \(folder)/\(name).key -out \(folder)/\(name).crt"
            )
        }
        let authority = "basicConstraints=critical,CA:TRUE\n"
        try authority.write(toFile: "\(folder)/ca.ext", atomically: false, encoding: .utf8)
        try "subjectAltName=DNS:localhost\n".write(toFile: "\(folder)/server.ext", atomically: false, encoding: .utf8)
        for (name, issuer, rules) in [("middle", "root", "ca"), ("server", "middle", "server")] {
            try run(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=\(name) "
                    + "-keyout \(folder)/\(name).key -out \(folder)/\(name).csr"
            )
            try run(
                "x509 -req -in \(folder)/\(name).csr -CA \(folder)/\(issuer).crt -CAkey \(folder)/\(issuer).key "
                    + "-CAcreateserial -days 2 -extfile \(folder)/\(rules).ext -out \(folder)/\(name).crt"
            )
        }
        let chain = try ["server", "middle"].map { try String(contentsOfFile: "\(folder)/\($0).crt", encoding: .utf8) }
        try server.write(chain.joined(), to: "data/server.crt")
        try server.write(String(contentsOfFile: "\(folder)/server.key", encoding: .utf8), to: "data/server.key")
        try server.psql("ALTER SYSTEM SET ssl = on")
        try server.restart()
    }

    func url(host: String, root: String) -> String {
        "host=\(host) port=\(server.port) user=\(server.superuser) dbname=postgres sslmode=verify-full sslrootcert=\(root)"
    }

    func remove() { server.remove() }
}
