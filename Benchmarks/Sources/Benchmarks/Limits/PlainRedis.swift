// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import NIOCore
import RedisWire

/// Jobs as minimal scripts on Redis, through the client that the store uses too: the same keys and values of the same
/// length, nothing looked at but the fence. For each process that is measured beside it one connection, and one on which it
/// is told of changes.
struct PlainRedis: PlainJobs {
    private let clients: [RedisClient]
    private let subscribers: [RedisSubscriber]
    private let prefix: String
    private let worker: [UInt8]
    private let ids: [[UInt8]]
    private let arguments =
        [UInt8](repeating: 0, count: PlainRedisHead.argumentsLength) + Array(#"{"number":12345}"#.utf8)
    private var stored = 0

    /// A call that stores a thousand sends its scripts one behind the other, as ``RedisStore`` does.
    private static let call = 1000

    /// - Parameter count: The most jobs that will be stored; their ids are made before anything is measured.
    init(_ target: Target, storing count: Int, connections: Int) async throws {
        let clock = SystemClock.shared
        ids = (0..<count).map { _ in Chance.system.jobID(at: clock.now).bytes }
        worker = Chance.system.jobID(at: clock.now).bytes
        prefix = "{errand:\(target.space)}:"
        let clients = try (0..<connections).map { _ in try Self.client(target.address) }
        let (heard, hears) = AsyncStream.makeStream(of: Void.self)
        subscribers = clients.map { [prefix] client in
            RedisSubscriber([prefix + "wake"], beside: client) { if case .began = $0 { hears.yield() } }
        }
        self.clients = clients
        for subscriber in subscribers { subscriber.start() }
        var waiting = heard.makeAsyncIterator()
        for _ in subscribers { await waiting.next() }
    }

    static func client(_ address: String) throws -> RedisClient {
        var configuration = RedisConfiguration(try RedisAddress(url: address))
        // For removing a million jobs at once.
        configuration.commandTimeLimit = .seconds(60)
        return RedisClient(configuration)
    }

    func close() async {
        for subscriber in subscribers { await subscriber.close() }
        for client in clients { await client.close() }
    }

    mutating func insert(_ count: Int, commits: Int) async throws {
        let batch = Self.share(of: count, commits)
        // Small batches are those of callers that wait for each.
        let call = batch >= 100 ? max(Self.call / batch, 1) * batch : batch
        for start in stride(from: 0, to: count, by: call) {
            try await insertSome(min(call, count - start), batch: batch)
        }
    }

    /// Each connection ends a batch while it claims the next, until nothing is left.
    mutating func drain(_ count: Int, commits: Int) async throws {
        let batch = Self.share(of: 2 * count, commits)
        let ended = try await withThrowingTaskGroup(of: Int.self) { group in
            for client in clients {
                group.addTask { [self] in
                    var (claimed, ended) = (try await claim(batch, on: client), 0)
                    while !claimed.isEmpty {
                        let ending = claimed
                        async let finished = finish(ending, on: client)
                        let next = try await claim(batch, on: client)
                        ended += try await finished
                        claimed = next
                    }
                    return ended
                }
            }
            return try await group.reduce(0, +)
        }
        guard ended == count else { throw VoidFigure("plain scripts ended \(ended) of \(count) jobs") }
    }

    mutating func live(_ count: Int, commits: Int) async throws {
        let batch = Self.share(of: 3 * count, commits)
        var (inserted, ended) = (0, 0)
        while ended < count {
            let new = min(batch, count - inserted)
            if new > 0 { try await insertSome(new, batch: batch) }
            inserted += new
            ended += try await finish(try await claim(batch, on: clients[0]), on: clients[0])
        }
    }

    private mutating func insertSome(_ count: Int, batch: Int) async throws {
        let now = SystemClock.shared.now
        let (first, ids, arguments) = (stored, ids, arguments)
        var scratch = ByteBuffer()
        _ = try await clients[0]
            .run(PlainRedisScripts.insert, keys: 1, times: (count + batch - 1) / batch) {
                index,
                command in
                start(&command, at: now)
                let places = (first + index * batch)..<min(first + (index + 1) * batch, first + count)
                PlainRedisHead.write(at: now, to: &scratch)
                command.append(scratch)
                scratch.clear()
                for place in places { scratch.writeBytes(ids[place]) }
                command.append(scratch)
                for _ in places { command.append(arguments) }
            }
        stored += count
    }

    private func claim(_ count: Int, on client: RedisClient) async throws -> [ByteBuffer] {
        let answer = try await client.run(PlainRedisScripts.claim, keys: 1) { command in
            start(&command, at: SystemClock.shared.now)
            command.append(count)
        }
        let fields = answer.elements ?? []
        return stride(from: 0, to: fields.count, by: 3).compactMap { fields[$0].buffer }
    }

    private func finish(_ jobs: [ByteBuffer], on client: RedisClient) async throws -> Int {
        guard !jobs.isEmpty else { return 0 }
        let answer = try await client.run(PlainRedisScripts.finish, keys: 1, capacity: 32 * jobs.count) { command in
            start(&command, at: SystemClock.shared.now)
            var some = ByteBuffer()
            some.reserveCapacity(16 * jobs.count)
            for job in jobs { some.writeImmutableBuffer(job) }
            command.append(some)
        }
        return Int(answer.integer ?? 0)
    }

    private func start(_ command: inout RedisCommand, at now: Timestamp) {
        command.append(prefix)
        command.append(now.microseconds)
        command.append(now.minute)
        command.append(worker)
    }
}
