// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOPosix

/// Sends the same request again and again over some connections, the next one when the answer to the last is there.
///
/// It does not read HTTP: all answers of a route have the same length, which it learns from the first one. So it needs
/// far less of the machine than the server it measures.
struct LoadGenerator {
    /// What one stretch of load came to.
    struct Result: Sendable {
        var requests = 0
        var seconds = 0.0
        /// Of every request, in milliseconds.
        var latencies: [Double] = []

        var rate: Double { seconds > 0 ? Double(requests) / seconds : 0 }
    }

    let port: Int
    let path: String
    let connections: Int

    /// Loads the server for so long.
    func run(for seconds: Double, on loop: any EventLoop) async throws -> Result {
        let request = "GET \(path) HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
        let until = NIODeadline.now() + .nanoseconds(Int64(seconds * 1e9))
        let start = NIODeadline.now()
        let runs = try await withThrowingTaskGroup(of: [Double].self) { group in
            for _ in 0..<connections {
                group.addTask {
                    let promise = loop.makePromise(of: [Double].self)
                    let channel =
                        try await ClientBootstrap(group: loop)
                        .channelInitializer { channel in
                            channel.eventLoop.makeCompletedFuture {
                                let asker = Asker(request: request, until: until, done: promise)
                                try channel.pipeline.syncOperations.addHandler(asker)
                            }
                        }
                        .connect(host: "127.0.0.1", port: port).get()
                    let latencies = try await promise.futureResult.get()
                    try await channel.close()
                    return latencies
                }
            }
            var runs: [[Double]] = []
            for try await run in group { runs.append(run) }
            return runs
        }
        var result = Result()
        result.seconds = Double((NIODeadline.now() - start).nanoseconds) / 1e9
        result.latencies = runs.flatMap { $0 }
        result.requests = result.latencies.count
        return result
    }
}

/// One connection: asks, waits for the answer, asks again.
private final class Asker: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: ByteBuffer
    private let until: NIODeadline
    private let done: EventLoopPromise<[Double]>
    private var sentAt = NIODeadline.now()
    private var received = 0
    /// The length of an answer; known once the first has come.
    private var length: Int?
    private var first = ByteBuffer()
    private var latencies: [Double] = []

    init(request: String, until: NIODeadline, done: EventLoopPromise<[Double]>) {
        self.request = ByteBuffer(string: request)
        self.until = until
        self.done = done
    }

    func channelActive(context: ChannelHandlerContext) {
        ask(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        received += buffer.readableBytes
        if length == nil {
            first.writeBuffer(&buffer)
            length = Self.length(of: first)
            if length != nil, !String(buffer: first).hasPrefix("HTTP/1.1 200") {
                done.fail(VoidFigure("the server answered \(String(buffer: first).prefix(40))"))
                return
            }
        }
        guard let length, received >= length else { return }
        received -= length
        let now = NIODeadline.now()
        latencies.append(Double((now - sentAt).nanoseconds) / 1e6)
        if now >= until { done.succeed(latencies) } else { ask(context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Has no effect once the load is over.
        done.fail(VoidFigure("the server closed a connection"))
    }

    private func ask(_ context: ChannelHandlerContext) {
        sentAt = .now()
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    /// Head, empty line and as many bytes as the head says.
    private static func length(of answer: ByteBuffer) -> Int? {
        let text = String(buffer: answer).lowercased()
        guard let end = text.range(of: "\r\n\r\n"), let field = text.range(of: "content-length: ") else { return nil }
        let digits = text[field.upperBound...].prefix { $0.isNumber }
        guard let body = Int(digits) else { return nil }
        return text[..<end.upperBound].utf8.count + body
    }
}
