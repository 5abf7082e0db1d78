// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import NIOPosix
import NIOSSL

/// Makes connections to one server.
struct Connector: Sendable {
    let configuration: RedisConfiguration
    let loops: EventLoops
    let clock: any ErrandClock

    /// Begins to connect; `user` is told how it went.
    func connect(for user: any WireUser) {
        guard loops.begin() else { return }
        let group = loops.group
        let context: NIOSSLContext?
        do {
            context = try configuration.address.usesTLS ? Self.context(configuration.tls) : nil
        } catch {
            let message = "TLS cannot be set up: \(error)"
            group.next()
                .execute { [loops] in
                    user.ended(RedisError(.notSent, message), on: nil)
                    loops.end()
                }
            return
        }
        let (configuration, name) = (configuration, serverName)
        let (limit, clock) = (configuration.connectTimeLimit, clock)
        let bootstrap = ClientBootstrap(group: group)
            .connectTimeout(.nanoseconds(limit.wholeMicroseconds.multipliedReportingOverflow(by: 1000).partialValue))
            .channelOption(ChannelOptions.socketOption(.so_keepalive), value: 1)
            .channelOption(ChannelOptions.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        let handler = try NIOSSLClientHandler(context: context, serverHostname: name)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    let handler = WireHandler(configuration, user: user, clock: clock)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        let (host, port) = (configuration.address.host, configuration.address.port)
        let address = try? SocketAddress(ipAddress: host, port: port)
        let attempt = address.map { bootstrap.connect(to: $0) } ?? bootstrap.connect(host: host, port: port)
        attempt.whenComplete { [loops] result in
            if case .failure(let error) = result {
                let message = "\(configuration.address) cannot be reached: \(Self.words(for: error))"
                user.ended(RedisError(.notSent, message), on: nil)
            }
            loops.end()
        }
    }

    /// The name for SNI and verification; an address is verified as an address.
    private var serverName: String? {
        if let name = configuration.tls.serverName { return name }
        let host = configuration.address.host
        return (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil
    }

    private static func context(_ tls: RedisTLS) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let file = tls.trustedCertificates { configuration.trustRoots = .file(file) }
        if let file = tls.certificateChain {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(file).map { .certificate($0) }
        }
        if let file = tls.privateKey {
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: file, format: .pem))
        }
        return try NIOSSLContext(configuration: configuration)
    }

    private static func words(for error: any Error) -> String {
        guard let error = error as? NIOConnectionError else { return "\(error)" }
        if let failed = error.connectionErrors.first { return "\(failed.error)" }
        if let failed = error.dnsAError ?? error.dnsAAAAError { return "its name is not known (\(failed))" }
        return "\(error)"
    }
}
