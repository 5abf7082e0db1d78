// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// Who uses a connection, told of what comes over it; called on the connection's event loop, one call at a time.
protocol WireUser: AnyObject, Sendable {
    /// The greeting went well.
    func connected(_ channel: any Channel)
    /// Values came.
    func received(_ values: [RESPValue])
    /// A connection that was announced is gone; or, without a channel, the attempt to make one failed.
    func ended(_ error: RedisError, on channel: (any Channel)?)
}

/// Turns bytes into values, and says what is to be said first.
///
/// Lives on its channel's event loop.
final class WireHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    // Weak: a client that is dropped without being closed closes its connection.
    private weak var user: (any WireUser)?
    private let address: RedisAddress
    private let greetingLimit: Duration
    private let clock: any ErrandClock
    private var timer: ClockTimer?
    private var parser: RESPParser
    private var greeting: Greeting
    private var isGreeted = false
    private var hasEnded = false
    private var rest = ByteBuffer()

    /// The beginning of a value that is cheaper to copy than to add to, in bytes.
    private static let shortRest = 4096

    init(_ configuration: RedisConfiguration, user: any WireUser, clock: any ErrandClock) {
        self.user = user
        self.clock = clock
        address = configuration.address
        greetingLimit = configuration.connectTimeLimit
        parser = RESPParser(limits: configuration.limits)
        greeting = Greeting(configuration)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        // A server that takes the connection and says nothing.
        let this = NIOLoopBound(self, eventLoop: context.eventLoop)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        timer = clock.schedule(after: greetingLimit) {
            this.eventLoop.execute { this.value.greetingIsLate(context: bound.value) }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
    }

    func channelActive(context: ChannelHandlerContext) {
        take(greeting.begin(), context: context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        if rest.readableBytes == 0 {
            rest = incoming
        } else if rest.readableBytes < Self.shortRest {
            // What was read before shares its bytes with answers: to grow it would be to copy those, too.
            var joined = context.channel.allocator.buffer(capacity: rest.readableBytes + incoming.readableBytes)
            joined.writeBuffer(&rest)
            joined.writeBuffer(&incoming)
            rest = joined
        } else {
            rest.writeBuffer(&incoming)
        }
        var values: [RESPValue] = []
        do throws(RESPViolation) {
            while let value = try parser.next(from: &rest) {
                if isGreeted {
                    values.append(value)
                } else if case .push = value {
                    continue
                } else {
                    take(greeting.next(after: value), context: context)
                }
            }
        } catch {
            if !values.isEmpty { user?.received(values) }
            end(RedisError(.outcomeUnknown, "the server broke the protocol: \(error)"), context: context)
            return
        }
        if rest.readableBytes == 0 { rest = ByteBuffer() }
        if !values.isEmpty { user?.received(values) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(RedisError(.outcomeUnknown, "the server closed the connection"), context: context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(RedisError(.outcomeUnknown, "the connection failed: \(error)"), context: context)
    }

    private func take(_ step: Greeting.Step, context: ChannelHandlerContext) {
        switch step {
        case .send(let command):
            var buffer = ByteBuffer()
            command.write(to: &buffer)
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        case .ready:
            isGreeted = true
            timer?.cancel()
            if user == nil { context.close(promise: nil) }
            user?.connected(context.channel)
        case .failed(let error):
            end(error, context: context)
        }
    }

    private func greetingIsLate(context: ChannelHandlerContext) {
        guard !isGreeted else { return }
        end(RedisError(.notSent, "\(address) did not answer within \(greetingLimit.inSeconds) s"), context: context)
    }

    private func end(_ error: RedisError, context: ChannelHandlerContext) {
        guard !hasEnded else { return }
        hasEnded = true
        user?.ended(error, on: isGreeted ? context.channel : nil)
        context.close(promise: nil)
    }
}
