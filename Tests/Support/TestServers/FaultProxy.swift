// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import NIOPosix
import Synchronization

/// A TCP proxy on 127.0.0.1 before a server of a test, for the faults of a network: it passes bytes, delays them, swallows
/// them, cuts connections at chosen points of the conversation, refuses new ones.
///
/// It knows nothing of the protocol. The first bytes of a client after an answer begin a *request*, the first bytes of
/// the server after a request begin an *answer*; that is where cuts are made, so they hit the same point in every run.
public final class FaultProxy: Sendable {
    /// What happens to everything that comes.
    public enum Mode: Sendable, Hashable {
        /// It is passed on.
        case pass
        /// It is passed on this much later, in order.
        case delay(Duration)
        /// It goes nowhere and nobody is told, as when a machine is gone without a word: connections open, and nothing
        /// is ever answered. What comes in this time is lost for good.
        case swallow
        /// New connections are refused; those that are open are ended.
        case refuse
    }

    /// Where a connection is cut.
    public enum Cut: Sendable, Hashable, CaseIterable {
        /// After the first piece of a request was passed on: the server may do what was asked or not, and the client
        /// gets no answer.
        case afterRequest
        /// When the server's answer has come and before the client sees it: what was asked is done.
        case beforeAnswer
    }

    /// Where the server is.
    public enum Target: Sendable, Hashable {
        case port(Int)
        case socket(path: String)
    }

    /// What was seen since the start.
    public struct Counts: Sendable, Hashable {
        public var connections = 0
        public var requests = 0
        public var answers = 0
        public var cuts = 0
        /// Pieces that were delayed.
        public var delayed = 0
        /// Pieces that went nowhere.
        public var swallowed = 0
    }

    struct State: Sendable {
        var plan = FaultPlan()
        var listener: (any Channel)?
        var open: [ObjectIdentifier: any Channel] = [:]
        var waiters: [(cuts: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let reserved: ReservedPort
    private let target: Target
    let state = Mutex(State())

    /// Starts a proxy on a free port.
    public static func start(to target: Target) async throws -> FaultProxy {
        let proxy = FaultProxy(try ReservedPort(), target)
        try await proxy.listen()
        return proxy
    }

    private init(_ reserved: ReservedPort, _ target: Target) {
        (self.reserved, self.target) = (reserved, target)
    }

    /// The port to connect to, the same for as long as the proxy lives.
    public var port: Int { reserved.number }

    /// What was seen since the start.
    public var counts: Counts { state.withLock { $0.plan.counts } }

    /// Changes what happens from now on. Triggers stay.
    public func set(_ mode: Mode) async throws {
        let (was, listener) = state.withLock { state in
            defer { state.plan.mode = mode }
            return (state.plan.mode, state.listener)
        }
        if mode == .refuse, was != .refuse {
            state.withLock { $0.listener = nil }
            try await listener?.close()
            endConnections()
        } else if mode != .refuse, was == .refuse {
            try await listen()
        }
    }

    /// Cuts once: at the `number`-th request or answer from now, counting only conversations whose request holds `words`.
    public func cut(_ cut: Cut, at number: Int = 1, where words: String = "") {
        let trigger = FaultPlan.Trigger(cut: cut, words: Array(words.utf8), left: max(number, 1))
        state.withLock { $0.plan.triggers.append(trigger) }
    }

    /// Forgets the cuts that are still to come.
    public func forgetCuts() { state.withLock { $0.plan.triggers = [] } }

    /// From now on clients hear `other` where the server says `words`: as many bytes, so that lengths still hold. For what
    /// a server of another version would say.
    public func rewrite(_ words: String, as other: String) throws {
        let (said, heard) = (Array(words.utf8), Array(other.utf8))
        guard !said.isEmpty, said.count == heard.count, heard.firstRange(of: said) == nil else {
            throw TestServerError("'\(other)' cannot stand where '\(words)' was said")
        }
        state.withLock { $0.plan.rewrites.append((said, heard)) }
    }

    /// What the client hears of what the server said.
    func rewritten(_ buffer: ByteBuffer) -> ByteBuffer {
        let plan = state.withLock { $0.plan }
        return plan.rewrites.isEmpty ? buffer : ByteBuffer(bytes: plan.rewritten(Array(buffer.readableBytesView)))
    }

    /// Ends every open connection now, as when the server's process dies.
    public func endConnections() {
        let open = state.withLock { state in
            defer { state.open = [:] }
            return Array(state.open.values)
        }
        for channel in open { channel.close(promise: nil) }
    }

    /// Waits until this many cuts were made since the start.
    public func untilCuts(_ number: Int) async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if state.plan.counts.cuts >= number { return true }
                state.waiters.append((number, continuation))
                return false
            }
            if isReached { continuation.resume() }
        }
    }

    /// Ends everything and frees the port.
    public func close() async throws {
        let listener = state.withLock { state in
            defer { state.listener = nil }
            return state.listener
        }
        try await listener?.close()
        endConnections()
        for waiter in state.withLock({ $0.waiters }) { waiter.continuation.resume() }
        state.withLock { $0.waiters = [] }
    }

    /// Asks the plan, and wakes who waits for a cut.
    func decide(_ body: (inout FaultPlan) -> FaultPlan.Action) -> FaultPlan.Action {
        let (action, due) = state.withLock { state in
            let action = body(&state.plan)
            let cuts = state.plan.counts.cuts
            let due = state.waiters.filter { $0.cuts <= cuts }
            state.waiters.removeAll { $0.cuts <= cuts }
            return (action, due)
        }
        for waiter in due { waiter.continuation.resume() }
        return action
    }

    // MARK: Connections

    private func listen() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [self] in accept($0) }
            .bind(host: "127.0.0.1", port: port)
            .get()
        state.withLock { $0.listener = listener }
    }

    private func accept(_ client: any Channel) -> EventLoopFuture<Void> {
        state.withLock { state in
            state.plan.connected()
            state.open[ObjectIdentifier(client)] = client
        }
        client.closeFuture.whenComplete { [self] _ in
            state.withLock { _ = $0.open.removeValue(forKey: ObjectIdentifier(client)) }
        }
        let target = target
        return client.eventLoop.makeCompletedFuture { [self] in
            let link = FaultLink(client: client, proxy: self)
            try client.pipeline.syncOperations.addHandler(FaultSide(link, isServer: false))
            let bound = NIOLoopBound(link, eventLoop: client.eventLoop)
            let bootstrap = ClientBootstrap(group: client.eventLoop)
                .channelInitializer { server in
                    server.eventLoop.makeCompletedFuture {
                        try server.pipeline.syncOperations.addHandler(FaultSide(bound.value, isServer: true))
                    }
                }
            let connecting =
                switch target {
                case .port(let port): bootstrap.connect(host: "127.0.0.1", port: port)
                case .socket(let path): bootstrap.connect(unixDomainSocketPath: path)
                }
            connecting.whenComplete { result in
                switch result {
                case .success(let server): bound.value.connected(to: server)
                case .failure: client.close(promise: nil)
                }
            }
        }
    }
}
