// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One connection of a client through a ``FaultProxy`` with its connection to the server.
///
/// Confined to the event loop that both of them share.
final class FaultLink {
    private let client: any Channel
    private let proxy: FaultProxy
    private var server: (any Channel)?
    private var talk = FaultPlan.Talk()
    /// What the client said before the server was reached.
    private var early: [(buffer: ByteBuffer, action: FaultPlan.Action)] = []
    /// When the last delayed bytes go out, by direction, so that none overtake others.
    private var latest: [Bool: NIODeadline] = [:]

    init(client: any Channel, proxy: FaultProxy) {
        self.client = client
        self.proxy = proxy
    }

    func connected(to server: any Channel) {
        self.server = server
        // The client may be gone already, or not be quite there yet.
        client.closeFuture.whenComplete { _ in server.close(promise: nil) }
        for (buffer, action) in early { carryOut(action, buffer, toServer: true) }
        early = []
    }

    func received(_ buffer: ByteBuffer, fromServer: Bool) {
        let action = proxy.decide { plan in
            fromServer ? plan.answered(&talk) : plan.asked(Array(buffer.readableBytesView), &talk)
        }
        let buffer = fromServer ? proxy.rewritten(buffer) : buffer
        guard server != nil else { return early.append((buffer, action)) }
        carryOut(action, buffer, toServer: !fromServer)
    }

    func closed(fromServer: Bool) {
        (fromServer ? client : server)?.close(promise: nil)
    }

    /// Whether the other side takes more; a reader whose bytes nobody takes stops reading.
    func writable(_ isWritable: Bool, isServer: Bool) {
        let reader = isServer ? client : server
        reader?.setOption(.autoRead, value: isWritable).whenFailure { _ in }
    }

    private func carryOut(_ action: FaultPlan.Action, _ buffer: ByteBuffer, toServer: Bool) {
        guard let out = toServer ? server : client else { return }
        switch action {
        case .swallow: break
        case .cut: cut()
        case .passAndCut:
            let link = NIOLoopBound(self, eventLoop: out.eventLoop)
            out.writeAndFlush(buffer).whenComplete { _ in link.value.cut() }
        case .pass(let wait):
            let due = max(NIODeadline.now() + .init(wait), latest[toServer] ?? .uptimeNanoseconds(0))
            // Most are not delayed, and must not wait for a turn of the loop.
            guard wait > .zero || due > .now() else { return out.writeAndFlush(buffer, promise: nil) }
            latest[toServer] = due
            out.eventLoop.scheduleTask(deadline: due) { out.writeAndFlush(buffer, promise: nil) }
        }
    }

    private func cut() {
        client.close(promise: nil)
        server?.close(promise: nil)
    }
}

/// One end of a ``FaultLink``.
final class FaultSide: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let link: FaultLink
    private let isServer: Bool

    init(_ link: FaultLink, isServer: Bool) {
        self.link = link
        self.isServer = isServer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        link.received(unwrapInboundIn(data), fromServer: isServer)
    }

    func channelInactive(context: ChannelHandlerContext) {
        link.closed(fromServer: isServer)
        context.fireChannelInactive()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        link.writable(context.channel.isWritable, isServer: isServer)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
