// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

/// How a client talks to its server.
public struct RedisConfiguration: Sendable {
    /// Which dialect is asked for.
    public enum Dialect: Sendable, Hashable {
        /// RESP3 where the server knows it, else RESP2; the default.
        case newest
        /// RESP2, for a proxy that knows no other.
        case resp2
    }

    /// Where the server is and how to come in.
    public var address: RedisAddress
    /// How the server proves who it is, when the address asks for TLS.
    public var tls = RedisTLS()
    /// Which dialect is asked for. `.newest`.
    public var dialect = Dialect.newest
    /// The name under which the server lists the connections. `errand`.
    public var name = "errand"
    /// How long connecting may take, greeting included. 5 s.
    public var connectTimeLimit: Duration = .seconds(5)
    /// How long a command may take from the call to its answer. At the limit a command that was sent ends with
    /// ``RedisError/Code/outcomeUnknown`` and the connection is made anew, because answers come in order. 5 s.
    public var commandTimeLimit: Duration = .seconds(5)
    /// The most commands that wait for their answer; further callers wait. 1,024.
    public var commandsInFlight = 1024
    /// The most bytes of commands that wait for their answer; further callers wait. One command may be larger. 16 MiB.
    public var bytesInFlight = 16 << 20
    /// The waits between attempts to connect: 20 ms, doubling to 1 s, ± 25 %.
    public var backoff = Backoff.exponential(base: .milliseconds(20), factor: 2, cap: .seconds(1), jitter: 0.25)
    /// What the server may send.
    public var limits = RESPLimits()

    /// The defaults for this address.
    public init(_ address: RedisAddress) {
        self.address = address
    }
}

/// How a server proves who it is, and this process, if it has to.
public struct RedisTLS: Sendable, Hashable {
    /// A file with the certificates that are trusted, in PEM; `nil` for those of the system.
    public var trustedCertificates: String?
    /// A file with this process's own certificate chain, in PEM, for servers that ask for one.
    public var certificateChain: String?
    /// A file with the key of that certificate, in PEM.
    public var privateKey: String?
    /// The name that the server's certificate must have, when it is not the host of the address.
    public var serverName: String?

    /// Trusts what the system trusts and shows no certificate.
    public init(
        trustedCertificates: String? = nil,
        certificateChain: String? = nil,
        privateKey: String? = nil,
        serverName: String? = nil
    ) {
        self.trustedCertificates = trustedCertificates
        self.certificateChain = certificateChain
        self.privateKey = privateKey
        self.serverName = serverName
    }
}
