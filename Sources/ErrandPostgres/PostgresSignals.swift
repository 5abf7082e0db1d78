// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CLibpq
import ErrandCore
import Synchronization

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Tells the other processes that use the same schema that this one wrote, and hears them: LISTEN and NOTIFY on one
/// connection with a thread of its own.
///
/// A commit that notifies holds a lock of the whole server, so the transactions of the store do not: what they did is told
/// afterwards, joined for ``interval``. A hint only; whoever waits also polls.
final class PostgresSignals: Sendable {
    enum Mode: Sendable, Equatable {
        case starting
        case listening
        /// Why there are no notifications.
        case polling(String)
    }

    private struct State {
        var mode = Mode.starting
        var hasThread = false
        var isClosed = false
        var pending = PostgresEffects()
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let target: PostgresLink.Target
    private let probe: PostgresLink.Target
    private let channel: String
    private let origin: String
    private let isTrusted: Bool
    private let hub: LocalHub
    private let bell: PostgresBell?
    private let state = Mutex(State())

    /// What happened is told at most this often.
    static let interval: Duration = .milliseconds(20)
    private static let testPatience: Duration = .seconds(2)
    private static let lookInterval: Duration = .seconds(30)

    /// - Parameters:
    ///   - target: The connection that listens.
    ///   - probe: One that workers use, to see whether what it says is heard.
    ///   - isTrusted: Whether the address to listen on was given, so that a pooler before it is no reason not to try.
    init(
        _ target: PostgresLink.Target,
        probe: PostgresLink.Target,
        schema: String,
        hub: LocalHub,
        origin: String,
        isTrusted: Bool
    ) {
        self.target = target
        self.probe = probe
        self.hub = hub
        self.origin = origin
        self.isTrusted = isTrusted
        channel = Self.channel(of: schema)
        bell = PostgresBell()
    }

    /// As `errand.enqueue` names it: at most 63 characters.
    static func channel(of schema: String) -> String {
        String("errand \(schema)".unicodeScalars.prefix(63).map(Character.init))
    }

    /// Begins to listen; does nothing the second time.
    func start() {
        let isFirst = state.withLock { state in
            defer { state.hasThread = true }
            return !state.hasThread && !state.isClosed
        }
        guard isFirst else { return }
        guard bell != nil, OSThread.start(named: "errand-pg-hear", { [self] in run() }) else {
            return become(.polling("the system gave no thread or no pipe to listen with"))
        }
    }

    func close() {
        state.withLock { $0.isClosed = true }
        bell?.ring()
    }

    /// A sentence for whoever looks after the store; `nil` while notifications come.
    func warning() async -> String? {
        await withCheckedContinuation { continuation in
            let isKnown = state.withLock { state in
                guard state.mode == .starting, state.hasThread, !state.isClosed else { return true }
                state.waiting.append(continuation)
                return false
            }
            if isKnown { continuation.resume() }
        }
        guard case .polling(let why) = state.withLock({ $0.mode }) else { return nil }
        return "other processes are heard by polling only: \(why)"
    }

    /// Tells the other processes, soon.
    func tell(_ effects: PostgresEffects) {
        let rings = state.withLock { state in
            // While the connection is being made it waits; who polls tells nobody.
            guard state.mode == .listening || state.mode == .starting else { return false }
            let isFirst = !state.pending.isOfInterest
            state.pending.merge(effects)
            state.pending.keepFew()
            return isFirst
        }
        if rings { bell?.ring() }
    }

    private var isClosed: Bool { state.withLock { $0.isClosed } }

    private func become(_ mode: Mode) {
        let waiting = state.withLock { state in
            state.mode = mode
            defer { state.waiting.removeAll() }
            return mode == .starting ? [] : state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    // MARK: The thread

    private func run() {
        var failures = 0
        while !isClosed {
            do {
                let link = try PostgresLink(target)
                guard !link.isPooled || isTrusted else {
                    return become(
                        .polling(
                            "a pooler is in the way; give PostgresConfiguration.listenAddress the server's own address"
                        )
                    )
                }
                try link.run("LISTEN \(PostgresMigrations.quoted(channel))")
                guard try isHeard(by: link) else {
                    return become(.polling("a notification that was sent as a test did not arrive"))
                }
                failures = 0
                become(.listening)
                // Whatever happened while nobody listened.
                hub.publish(.elsewhere)
                try hear(link)
            } catch {
                failures += 1
                become(.polling("the connection for notifications is lost and tried again (\(error))"))
            }
            let pause = min(Duration.milliseconds(100) * Double(1 << min(failures, 6)), .seconds(5))
            if !isClosed { _ = bell?.wait(for: -1, atMost: pause) }
        }
        become(.polling("the store was closed"))
    }

    /// Whether what another connection says arrives.
    private func isHeard(by link: PostgresLink) throws -> Bool {
        let other = try PostgresLink(probe)
        let word = "\(origin)\nt"
        try other.query("SELECT pg_notify($1, $2)", [.text(channel), .text(word)])
        let deadline = SystemClock.shared.uptime + Self.testPatience
        while !isClosed {
            if try link.notifications().contains(where: { $0.payload == word }) { return true }
            let left = deadline - SystemClock.shared.uptime
            guard left > .zero else { return false }
            _ = bell?.wait(for: link.descriptor, atMost: left)
        }
        return false
    }

    private func hear(_ link: PostgresLink) throws {
        var toldAt = SystemClock.shared.uptime - Self.interval
        while !isClosed {
            for notification in try link.notifications() { hear(notification.payload) }
            let mustTell = state.withLock { $0.pending.isOfInterest }
            let left = toldAt + Self.interval - SystemClock.shared.uptime
            if mustTell, left <= .zero {
                let pending = state.withLock { state in
                    defer { state.pending = PostgresEffects() }
                    return state.pending
                }
                try link.query(
                    "SELECT pg_notify($1, $2)",
                    [.text(channel), .text(PostgresNotice(pending).text(from: origin))]
                )
                toldAt = SystemClock.shared.uptime
                continue
            }
            let isReady = bell?.wait(for: link.descriptor, atMost: mustTell ? left : Self.lookInterval) ?? false
            // Quiet for long: find out whether anybody is at the other end.
            if !isReady, !mustTell { try link.run("SELECT 1") }
        }
    }

    private func hear(_ payload: String) {
        guard let (sender, notice) = PostgresNotice.read(payload), sender != origin else { return }
        notice.publish(to: hub)
    }
}
