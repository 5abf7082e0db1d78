// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
public import NIOCore
import Synchronization

/// A connection of its own that hears what is published on some channels.
///
/// Messages may be lost: whoever listens is told each time the subscription begins anew, and looks for itself.
public final class RedisSubscriber: Sendable {
    /// What is heard.
    public enum Event: Sendable {
        /// The subscription holds from now on; what was published before was missed.
        case began
        /// A message.
        case message(channel: String, ByteBuffer)
    }

    private enum Phase {
        case idle
        case connecting
        case open(any Channel)
        case closed
    }

    private struct State {
        var phase = Phase.idle
        var failures = 0
        var hasHeard = false
        var missing = 0
    }

    private let configuration: RedisConfiguration
    private let channels: [String]
    private let hear: @Sendable (Event) -> Void
    private let connector: Connector
    private let clock: any ErrandClock
    private let chance: Chance
    private let loops: EventLoops
    private let state = Mutex(State())

    /// How long nothing is heard before the connection is tried.
    private static let silence: Duration = .seconds(15)

    /// A subscription to these channels that begins with ``start()`` and shares the thread of `client`.
    /// - Parameters:
    ///   - channels: What to hear of.
    ///   - client: Whose server, settings and thread it shares.
    ///   - chance: Makes the jitter of reconnects.
    ///   - hear: Called on the connection's thread; must be short.
    public init(
        _ channels: [String],
        beside client: RedisClient,
        chance: Chance = .system,
        hear: @escaping @Sendable (Event) -> Void
    ) {
        self.channels = channels
        self.hear = hear
        self.chance = chance
        configuration = client.configuration
        clock = client.clock
        loops = client.loops
        connector = Connector(configuration: configuration, loops: loops, clock: clock)
    }

    /// Subscribes, and again for ever when the connection is lost. Does nothing the second time.
    public func start() {
        let isFirst = state.withLock { state in
            guard case .idle = state.phase else { return false }
            state.phase = .connecting
            return true
        }
        if isFirst { connector.connect(for: self) }
    }

    /// Ends the subscription; to be called before the client is closed.
    public func close() async {
        let channel = state.withLock { state -> (any Channel)? in
            defer { state.phase = .closed }
            if case .open(let channel) = state.phase { return channel }
            return nil
        }
        guard let channel else { return }
        await withCheckedContinuation { continuation in
            channel.close().whenComplete { _ in continuation.resume() }
        }
    }

    /// Asks for a sign of life every quarter of a minute: a connection whose other end is gone says nothing.
    private func watch(_ channel: any Channel) {
        clock.schedule(after: Self.silence) { [weak self] in
            guard let self else { return }
            let (isCurrent, isSilent) = state.withLock { state in
                guard case .open(let current) = state.phase, current === channel else { return (false, false) }
                defer { state.hasHeard = false }
                return (true, !state.hasHeard)
            }
            guard isCurrent else { return }
            if isSilent {
                channel.pipeline.fireErrorCaught(RedisError(.outcomeUnknown, "the subscription is dead"))
            } else {
                write(RedisCommand("PING"), to: channel)
                watch(channel)
            }
        }
    }

    private func write(_ command: RedisCommand, to channel: any Channel) {
        var buffer = channel.allocator.buffer(capacity: command.size + 8)
        command.write(to: &buffer)
        channel.writeAndFlush(buffer, promise: nil)
    }
}

extension RedisSubscriber: WireUser {
    func connected(_ channel: any Channel) {
        let isWanted = state.withLock { state in
            guard case .connecting = state.phase else { return false }
            state.phase = .open(channel)
            (state.failures, state.hasHeard, state.missing) = (0, true, channels.count)
            return true
        }
        guard isWanted else { return channel.close(promise: nil) }
        write(RedisCommand(["SUBSCRIBE"] + channels), to: channel)
        watch(channel)
    }

    func received(_ values: [RESPValue]) {
        for value in values {
            state.withLock { $0.hasHeard = true }
            guard let parts = value.elements, let kind = parts.first?.text else {
                // The answer to a ping; or a refusal, after which nothing would ever be heard.
                if case .error = value { closeAfterRefusal() }
                continue
            }
            if kind == "message", parts.count == 3, let name = parts[1].text, let message = parts[2].buffer {
                hear(.message(channel: name, message))
            } else if kind == "subscribe" {
                let isLast = state.withLock { state in
                    state.missing -= 1
                    return state.missing == 0
                }
                if isLast { hear(.began) }
            }
        }
    }

    private func closeAfterRefusal() {
        let channel = state.withLock { state -> (any Channel)? in
            guard case .open(let channel) = state.phase else { return nil }
            // Not to come back twenty times a second.
            state.failures = 10
            return channel
        }
        channel?.pipeline.fireErrorCaught(RedisError(.refused, "the server refuses the subscription"))
    }

    func ended(_ error: RedisError, on channel: (any Channel)?) {
        let failure = state.withLock { state -> Int? in
            switch (state.phase, channel) {
            case (.connecting, nil): break
            case (.open(let current), .some(let gone)) where current === gone: break
            default: return nil
            }
            state.phase = .connecting
            state.failures += 1
            return state.failures
        }
        guard let failure else { return }
        let wait = chance.draw { configuration.backoff.wait(afterFailure: failure, using: &$0) }
        clock.schedule(after: wait) { [weak self] in
            guard let self else { return }
            let isWanted = state.withLock { if case .connecting = $0.phase { true } else { false } }
            if isWanted { connector.connect(for: self) }
        }
    }
}
