// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOPosix
import NIOCore
import Synchronization

/// One connection to a server on which the commands of all callers follow each other without waiting for answers.
///
/// It connects at the first command, and for ever again by itself when the connection is lost. A command that was not sent
/// when that happened ends with ``RedisError/Code/notSent``, one whose answer was missing with
/// ``RedisError/Code/outcomeUnknown``; nothing is repeated behind the caller's back. Callers wait while
/// ``RedisConfiguration/commandsInFlight`` or ``RedisConfiguration/bytesInFlight`` is reached.
///
/// No call needs a free thread of Swift's shared pool, and a cancelled caller still gets its answer.
public final class RedisClient: Sendable {
    typealias Answer = Result<RESPValue, RedisError>
    typealias Reply = @Sendable (Answer) -> Void

    private struct State {
        var queue: CommandQueue<Reply>
        var channel: (any Channel)?
        var generation = 0
        var digests: [String: String] = [:]
        var isWatching = false
    }

    /// How it talks to the server.
    public let configuration: RedisConfiguration
    let clock: any ErrandClock
    private let chance: Chance
    let loops: EventLoops
    private let connector: Connector
    private let state: Mutex<State>

    /// A client that connects when it is first used.
    public convenience init(
        _ configuration: RedisConfiguration,
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system
    ) {
        self.init(configuration, loops: EventLoops(), clock: clock, chance: chance)
    }

    init(_ configuration: RedisConfiguration, loops: EventLoops, clock: any ErrandClock, chance: Chance) {
        self.configuration = configuration
        self.clock = clock
        self.chance = chance
        self.loops = loops
        connector = Connector(configuration: configuration, loops: loops, clock: clock)
        let queue = CommandQueue<Reply>(
            commands: configuration.commandsInFlight,
            bytes: configuration.bytesInFlight
        )
        state = Mutex(State(queue: queue))
    }

    deinit { state.withLock { $0.channel }?.close(promise: nil) }

    /// The number of the connection, from 1, raised each time one is made: who sees it change knows that the server may be
    /// another one, or the same after a restart.
    public var generation: Int { state.withLock { $0.generation } }

    /// Sends a command and waits for its answer.
    /// - Throws: ``RedisError``, also for an error that the server answered.
    public func send(_ command: RedisCommand) async throws(RedisError) -> RESPValue {
        let answer = await withCheckedContinuation { (continuation: CheckedContinuation<Answer, Never>) in
            submit(command) { continuation.resume(returning: $0) }
        }
        return try answer.get()
    }

    /// Sends commands one behind the other and waits for all answers; an error of one of them is its answer.
    /// - Throws: ``RedisError`` when an answer is missing.
    public func send(_ commands: [RedisCommand]) async throws(RedisError) -> [RESPValue] {
        try await send(commands.count) { commands[$0] }
    }

    /// Sends commands one behind the other and waits for all answers; the first is on its way while the others are made.
    func send(_ count: Int, _ make: (Int) -> RedisCommand) async throws(RedisError) -> [RESPValue] {
        guard count > 0 else { return [] }
        let answers = await withCheckedContinuation { (continuation: CheckedContinuation<[Answer], Never>) in
            let gathered = Gathered(count: count) { continuation.resume(returning: $0) }
            for index in 0..<count {
                submit(make(index)) { gathered.put($0, at: index) }
            }
        }
        var values: [RESPValue] = []
        for answer in answers {
            switch answer {
            case .success(let value): values.append(value)
            case .failure(let error) where error.code == .refused: values.append(.error(error.message))
            case .failure(let error):
                // One that was not sent, behind one that was, leaves the whole open.
                throw values.isEmpty ? error : error.unanswered
            }
        }
        return values
    }

    /// Runs a script; `arguments` adds keys and arguments behind it.
    ///
    /// The script is sent to the server when it does not have it. A user who may not load scripts runs it all the same.
    /// - Parameters:
    ///   - script: What to run.
    ///   - keys: How many of the arguments are keys.
    ///   - capacity: About how many bytes the arguments take, so that the command is made in one piece.
    ///   - arguments: Adds them, keys first.
    /// - Throws: ``RedisError``.
    public func run(
        _ script: RedisScript,
        keys: Int,
        capacity: Int = 256,
        _ arguments: (inout RedisCommand) -> Void
    ) async throws(RedisError) -> RESPValue {
        for _ in 0..<3 {
            let digest = try await digest(of: script)
            var command = RedisCommand(capacity: capacity + 64)
            command.append(digest == nil ? "EVAL" : "EVALSHA")
            command.append(digest ?? script.source)
            command.append(keys)
            arguments(&command)
            do throws(RedisError) {
                return try await send(command)
            } catch {
                // The server was restarted or its scripts were flushed: it did nothing.
                guard error.word == "NOSCRIPT", error.code == .refused else { throw error }
                forget(script)
            }
        }
        throw RedisError(
            .refused,
            "NOSCRIPT the server forgets the script \(script.name) again and again",
            word: "NOSCRIPT"
        )
    }

    func forget(_ script: RedisScript) {
        state.withLock { $0.digests[script.name] = nil }
    }

    /// The digest by which the server knows the script; `nil` when it must not be loaded.
    func digest(of script: RedisScript) async throws(RedisError) -> String? {
        if let known = state.withLock({ $0.digests[script.name] }) { return known.isEmpty ? nil : known }
        var digest = ""
        do throws(RedisError) {
            digest = try await send(RedisCommand("SCRIPT", "LOAD", script.source)).text ?? ""
        } catch {
            guard error.word == "NOPERM", error.code == .refused else { throw error }
        }
        state.withLock { $0.digests[script.name] = digest }
        return digest.isEmpty ? nil : digest
    }

    /// Ends the connection. Commands that wait fail, and so do all later ones.
    public func close() async {
        let (lost, channel) = state.withLock { state in
            defer { state.channel = nil }
            return (state.queue.close(), state.channel)
        }
        let error = RedisError(.closed, "the client was closed")
        for entry in lost.unsent { entry.reply(.failure(error)) }
        for entry in lost.unanswered { entry.reply(.failure(error.unanswered)) }
        if let channel {
            await withCheckedContinuation { continuation in
                channel.close().whenComplete { _ in continuation.resume() }
            }
        }
        await loops.close()
    }

    // MARK: Sending

    private func submit(_ command: RedisCommand, _ reply: @escaping Reply) {
        let entry = CommandQueue<Reply>
            .Entry(command: command, deadline: clock.uptime + configuration.commandTimeLimit, reply: reply)
        let (arrival, channel, watches) = state.withLock { state in
            let arrival = state.queue.arrive(entry)
            var watches = false
            if case .refuse = arrival {} else { watches = !state.isWatching }
            if watches { state.isWatching = true }
            return (arrival, state.channel, watches)
        }
        switch arrival {
        case .refuse(let error): reply(.failure(error))
        case .connect: connector.connect(for: self)
        case .send: channel?.eventLoop.execute { [self] in sendWaiting() }
        case .wait: break
        }
        if watches { watch() }
    }

    /// Sends what waits; on the connection's event loop.
    private func sendWaiting() {
        let (entries, channel) = state.withLock { ($0.queue.takeUnsent(), $0.channel) }
        guard let channel, !entries.isEmpty else { return }
        var buffer = channel.allocator.buffer(capacity: min(entries.reduce(0) { $0 + $1.command.size + 8 }, 1 << 20))
        for entry in entries {
            entry.command.write(to: &buffer)
            if buffer.readableBytes > 1 << 19 {
                channel.write(buffer, promise: nil)
                buffer = channel.allocator.buffer(capacity: 1 << 16)
            }
        }
        channel.writeAndFlush(buffer, promise: nil)
    }

    /// Looks after time limits as long as anything waits.
    private func watch() {
        let limit = configuration.commandTimeLimit
        clock.schedule(after: max(min(limit / 10, .milliseconds(250)), .milliseconds(5))) { [weak self] in
            guard let self else { return }
            let now = clock.uptime
            let (late, isStuck, channel, goesOn) = state.withLock { state in
                let (late, isStuck) = state.queue.expire(at: now)
                state.isWatching = !state.queue.isEmpty
                return (late, isStuck, state.channel, state.isWatching)
            }
            let words = "no answer within \(limit.inSeconds) s"
            for entry in late { entry.reply(.failure(RedisError(.notSent, "\(words); it was not sent"))) }
            if isStuck { channel?.pipeline.fireErrorCaught(RedisError(.outcomeUnknown, words)) }
            if goesOn { watch() }
        }
    }
}

extension RedisClient: WireUser {
    func connected(_ channel: any Channel) {
        let (isWanted, sends) = state.withLock { state in
            guard case .connecting = state.queue.phase else { return (false, false) }
            state.channel = channel
            state.generation += 1
            return (true, state.queue.connected())
        }
        if !isWanted { channel.close(promise: nil) }
        if sends { sendWaiting() }
    }

    func received(_ values: [RESPValue]) {
        var answers = values
        answers.removeAll { if case .push = $0 { true } else { false } }
        let (entries, sends) = state.withLock { $0.queue.answered(answers.count) }
        if sends { sendWaiting() }
        for (entry, answer) in zip(entries, answers) {
            if case .error(let text) = answer {
                entry.reply(.failure(RedisError(answer: text)))
            } else {
                entry.reply(.success(answer))
            }
        }
    }

    func ended(_ error: RedisError, on channel: (any Channel)?) {
        guard let channel else { return attemptFailed(error) }
        let lost = state.withLock { state -> [CommandQueue<Reply>.Entry]? in
            guard let current = state.channel, current === channel else { return nil }
            state.channel = nil
            return state.queue.disconnected()
        }
        guard let lost else { return }
        connector.connect(for: self)
        for entry in lost { entry.reply(.failure(error.unanswered)) }
    }

    private func attemptFailed(_ error: RedisError) {
        guard let (entries, failure) = state.withLock({ $0.queue.connectFailed(error) }) else { return }
        let wait = chance.draw { configuration.backoff.wait(afterFailure: failure, using: &$0) }
        clock.schedule(after: wait) { [weak self] in
            guard let self, state.withLock({ $0.queue.retries() }) else { return }
            connector.connect(for: self)
        }
        for entry in entries { entry.reply(.failure(error.unsent)) }
    }
}
