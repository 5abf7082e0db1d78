// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization

/// A server that answers each line with the same line, and remembers what it was asked.
final class EchoServer: Sendable {
    let port: Int
    private let listener: any Channel
    private let box: LineBox

    /// What it was asked.
    var lines: [String] { box.lines }

    static func start() async throws -> EchoServer {
        let lines = LineBox()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Echo(lines))
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        guard let port = listener.localAddress?.port else { throw ChannelError.unknownLocalAddress }
        return EchoServer(port: port, listener: listener, lines)
    }

    private init(port: Int, listener: any Channel, _ box: LineBox) {
        (self.port, self.listener, self.box) = (port, listener, box)
    }

    /// Waits until it was asked this.
    func untilAsked(_ line: String) async { await box.until(line) }

    func close() async throws { try await listener.close() }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let lines: LineBox

        init(_ lines: LineBox) { self.lines = lines }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            for line in String(buffer: buffer).split(separator: "\n") { lines.add(String(line)) }
            context.writeAndFlush(NIOAny(buffer), promise: nil)
        }
    }
}

/// Lines as they come, for whoever waits for one.
final class LineBox: Sendable {
    private struct State {
        var lines: [String] = []
        var waiters: [(line: String, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var lines: [String] { state.withLock { $0.lines } }

    func add(_ line: String) {
        let due = state.withLock { state in
            state.lines.append(line)
            defer { state.waiters.removeAll { $0.line == line } }
            return state.waiters.filter { $0.line == line }
        }
        for waiter in due { waiter.continuation.resume() }
    }

    func until(_ line: String) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.lines.contains(line) { return true }
                state.waiters.append((line, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
