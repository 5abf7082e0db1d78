// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire
import Synchronization

/// Jobs on a Redis 7 or Valkey server, shared by any number of processes.
///
/// Every change of a job is one script on the server; the keys of a deployment share one hash tag,
/// ``RedisStoreConfiguration/name``. The server must not delete keys by itself (`maxmemory-policy noeviction`): the first
/// call looks, and every call is refused while it may. What an acknowledged write survives is the server's choice
/// (`appendonly`, `appendfsync`); ``describe()`` says what it really is.
///
/// A job cannot be stored in one transaction with rows of the application's own database: `jobs.enqueue(_:in:)` throws
/// ``/ErrandCore/StoreError`` with code `unsupported`. Write the job into a table of that database instead and relay it from
/// there; the job's id makes repeating harmless.
public final class RedisStore: JobStore {
    public let hub = LocalHub()
    /// How the server is used.
    public let configuration: RedisStoreConfiguration
    let client: RedisClient
    let turns = TurnQueue()
    /// How this process signs what it tells the others.
    let origin: ByteBuffer
    let chance: Chance
    private let prefix: ByteBuffer
    /// In the place of the server's own time, for tests.
    private let time: (any ErrandClock)?
    private let trust: ServerTrust
    private let door = Doorkeeper()
    private let subscriber: RedisSubscriber
    private let isListening = Atomic(false)
    private let commits = Atomic<Int>(0)
    private let calls = Atomic<Int>(0)

    /// A store on the server at this URL: `redis://user:password@host:6379/0`, `rediss://` with TLS.
    ///
    /// Connects with the first call; ``open()`` does it at once.
    /// - Throws: ``/ErrandCore/StoreError`` with code `invalid` for a URL or a name that cannot be used.
    public convenience init(url: String, configuration: RedisStoreConfiguration = .init()) throws {
        try self.init(url: url, configuration: configuration, time: nil)
    }

    package init(
        url: String,
        configuration: RedisStoreConfiguration = .init(),
        time: (any ErrandClock)?,
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system
    ) throws {
        if let problem = configuration.problem { throw StoreError(.invalid, problem) }
        let address: RedisAddress
        do throws(RedisURLProblem) {
            address = try RedisAddress(url: url)
        } catch {
            throw StoreError(.invalid, error.description)
        }
        var wire = RedisConfiguration(address)
        wire.tls = configuration.tls
        wire.dialect = configuration.dialect
        wire.commandTimeLimit = configuration.commandTimeLimit
        wire.commandsInFlight = configuration.commandsInFlight
        self.configuration = configuration
        self.time = time
        self.chance = chance
        client = RedisClient(wire, clock: clock, chance: chance)
        let tag = "{errand:\(configuration.name)}:"
        prefix = ByteBuffer(string: tag)
        trust = ServerTrust(client, meta: tag + "meta", clock: clock)
        let origin = ByteBuffer(bytes: chance.jobID(at: clock.now).bytes)
        self.origin = origin
        subscriber = RedisSubscriber([tag + "wake"], beside: client, chance: chance) { [hub] event in
            switch event {
            case .began: hub.publish(.elsewhere)
            case .message(_, let message): RedisMessage.hear(message, origin: origin, hub: hub)
            }
        }
    }

    /// Connects and looks whether the server can be trusted with jobs.
    /// - Throws: ``/ErrandCore/StoreError``: `incompatible` for a server that deletes keys or is too old, `unavailable` with
    ///   what to do for one that cannot be reached or refuses us.
    public func open() async throws {
        try await perform { () throws(StoreError) in }
    }

    public func describe() async -> StoreDescription {
        if !door.isClosing { try? await open() }
        return trust.description
    }

    public func close() async throws {
        guard await door.close() else { return }
        await subscriber.close()
        await client.close()
    }

    /// How many scripts this process ran that may write, empty claims among them: how many jobs share one is what a
    /// benchmark's limit has to copy.
    @_spi(Benchmarks) public var commitCount: Int { commits.load(ordering: .relaxed) }

    /// How many scripts this process ran, reading and writing.
    @_spi(Benchmarks) public var callCount: Int { calls.load(ordering: .relaxed) }

    // MARK: Calls

    /// Runs a call of the store: not after the end, and only on a server that can be trusted.
    func perform<Answer: Sendable>(_ body: () async throws(StoreError) -> Answer) async throws(StoreError) -> Answer {
        try door.enter()
        defer { door.leave() }
        try await trust.check()
        listen()
        return try await body()
    }

    /// Runs a script with the time in front of its arguments.
    func run(
        _ script: RedisScript,
        at decidedAt: Timestamp? = nil,
        writes: Bool = true,
        capacity: Int = 256,
        _ arguments: (inout RedisCommand) -> Void
    ) async throws(StoreError) -> [RESPValue] {
        note(1, writes: writes)
        do throws(RedisError) {
            let answer = try await client.run(script, keys: 1, capacity: capacity) { command in
                command.append(prefix)
                command.append(decidedAt.map { String($0.microseconds) } ?? moment)
                arguments(&command)
            }
            return answer.elements ?? [answer]
        } catch {
            throw StoreError(redis: error, writes: writes)
        }
    }

    /// Runs a script some times, each with arguments of its own, without waiting in between.
    func run(
        _ script: RedisScript,
        times: Int,
        writes: Bool = true,
        _ arguments: (Int, inout RedisCommand) -> Void
    ) async throws(StoreError) -> [[RESPValue]] {
        note(times, writes: writes)
        do throws(RedisError) {
            let answers = try await client.run(script, keys: 1, times: times) { index, command in
                command.append(prefix)
                command.append(moment)
                arguments(index, &command)
            }
            return answers.map { $0.elements ?? [$0] }
        } catch {
            throw StoreError(redis: error, writes: writes)
        }
    }

    private func note(_ scripts: Int, writes: Bool) {
        calls.add(scripts, ordering: .relaxed)
        if writes { commits.add(scripts, ordering: .relaxed) }
    }

    /// Commands that only read, in one look: each its word, its key without the prefix, and the rest.
    func fetch(_ commands: [[ByteBuffer]]) async throws(StoreError) -> (now: Timestamp, answers: ArraySlice<RESPValue>)
    {
        let answer = try await run(RedisScripts.fetch, writes: false) { command in
            for words in commands {
                command.append(words.count)
                for word in words { command.append(word) }
            }
        }
        guard answer.count == commands.count + 1 else { throw StoreError.oddAnswer }
        return (try Self.instant(answer[0]), answer.dropFirst())
    }

    /// The time to give to scripts: nothing, which means that of the server.
    private var moment: String { time.map { String($0.now.microseconds) } ?? "" }

    /// How old a decision may be when it is written, by the server's clock.
    var longestDecision: String { time == nil ? "5000000" : "" }

    static func instant(_ value: RESPValue) throws(StoreError) -> Timestamp {
        guard let microseconds = value.integer else { throw StoreError.oddAnswer }
        return Timestamp(microseconds: microseconds)
    }

    private func listen() {
        guard configuration.wakeUp == .push, !isListening.exchange(true, ordering: .relaxed) else { return }
        subscriber.start()
    }
}
