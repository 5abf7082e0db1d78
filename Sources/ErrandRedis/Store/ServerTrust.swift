// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import RedisWire
import Synchronization

/// Looks whether the server can be trusted with jobs: on each new connection, because it may lead to another server, and now
/// and then, because somebody may have changed a setting.
final class ServerTrust: Sendable {
    private struct State {
        var facts: ServerFacts?
        var generation = 0
        var checkedAt: Duration?
    }

    private let client: RedisClient
    private let meta: String
    private let clock: any ErrandClock
    private let turns = TurnQueue()
    private let state = Mutex(State())

    /// How often the server is asked again.
    private static let recheck: Duration = .seconds(60)

    /// - Parameter meta: The key that has the layout of the deployment.
    init(_ client: RedisClient, meta: String, clock: any ErrandClock) {
        self.client = client
        self.meta = meta
        self.clock = clock
    }

    /// What the server is, as far as is known.
    var description: StoreDescription {
        if let facts = state.withLock({ $0.facts }) { return facts.description }
        var description = ServerFacts(info: nil, settings: nil).description
        description.warnings = ["the server was not reached yet, so nothing is known about it"]
        return description
    }

    /// Throws when the server cannot be trusted; asks it when that was not done on this connection or is long ago.
    func check() async throws(StoreError) {
        if isFresh { return }
        // One asks, the others wait for what it hears.
        await turns.enter()
        defer { turns.leave() }
        if isFresh { return }
        let facts = try await look()
        let (now, generation) = (clock.uptime, client.generation)
        state.withLock { $0 = State(facts: facts, generation: generation, checkedAt: now) }
        if let refusal = facts.refusal { throw refusal }
    }

    private var isFresh: Bool {
        let (now, generation) = (clock.uptime, client.generation)
        return state.withLock { state in
            guard let checkedAt = state.checkedAt, let facts = state.facts else { return false }
            return state.generation == generation && now - checkedAt < Self.recheck && facts.refusal == nil
        }
    }

    private func look() async throws(StoreError) -> ServerFacts {
        let questions = [
            RedisCommand("INFO"),
            RedisCommand("CONFIG", "GET", "maxmemory-policy", "appendonly", "appendfsync", "save"),
            RedisCommand("HGET", meta, "schema"),
        ]
        let answers = try await ask(questions)
        var settings: [String: String]?
        if let words = answers[1].elements, words.count.isMultiple(of: 2) {
            settings = [:]
            for index in stride(from: 0, to: words.count, by: 2) {
                if let name = words[index].text { settings?[name] = words[index + 1].text }
            }
        }
        try Self.accept(answers[2])
        var facts = ServerFacts(info: answers[0].text, settings: settings)
        if let schema = answers[2].integer {
            facts.schema = Int(schema)
        } else if facts.refusal == nil {
            let mark = RedisCommand("HSETNX", meta, "schema", String(ServerFacts.schema))
            try Self.accept(try await ask([mark])[0])
        }
        return facts
    }

    private func ask(_ questions: [RedisCommand]) async throws(StoreError) -> [RESPValue] {
        do throws(RedisError) {
            return try await client.send(questions)
        } catch {
            throw StoreError(redis: error, writes: false)
        }
    }

    private static func accept(_ answer: RESPValue) throws(StoreError) {
        guard case .error(let words) = answer else { return }
        let word = words.split(separator: " ", maxSplits: 1).first.map(String.init)
        throw StoreError(redis: RedisError(.refused, words, word: word), writes: false)
    }
}
