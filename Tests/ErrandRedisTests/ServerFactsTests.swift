// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import RedisWire
import Testing

@testable import ErrandRedis

@Suite("What a server says about itself")
struct ServerFactsTests {
    private static let settings = [
        "maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always", "save": "",
    ]

    @Test(
        "versions from 7.0 on are known, Valkey by its own",
        arguments: [
            ("redis_version:7.0.15\r\n", true), ("redis_version:8.2.0\r\n", true), ("redis_version:6.2.7\r\n", false),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n", true), ("", true),
        ]
    )
    func versions(_ info: String, _ isGood: Bool) {
        let facts = ServerFacts(info: info, settings: Self.settings)
        #expect((facts.refusal == nil) == isGood)
        if facts.isValkey { #expect(facts.version == "8.1.0") }
    }

    @Test("what CONFIG does not tell, INFO may")
    func fallback() {
        let facts = ServerFacts(info: "maxmemory_policy:noeviction\naof_enabled:1\nrole:slave\n", settings: nil)
        #expect(facts.refusal == nil)
        #expect(facts.durability == .processCrash)
        #expect(facts.warnings.count == 2)
        #expect(ServerFacts(info: "maxmemory_policy:allkeys-lfu\n", settings: nil).refusal?.code == .incompatible)
        #expect(ServerFacts(info: nil, settings: nil).refusal?.code == .incompatible)
    }

    @Test(
        "every answer of the server has a code and says what to do",
        arguments: [
            ("LOADING", StoreError.Code.unavailable), ("READONLY", .unavailable), ("OOM", .full),
            ("MASTERDOWN", .unavailable), ("CLUSTERDOWN", .unavailable), ("NOPERM", .unavailable),
            ("WRONGPASS", .unavailable), ("NOAUTH", .unavailable), ("BUSY", .unavailable), ("MISCONF", .unavailable),
            ("MOVED", .unsupported), ("CROSSSLOT", .unsupported), ("NOREPLICAS", .unavailable), ("WRONGTYPE", .corrupt),
            ("NOWORKER", .notFound), ("ERR", .corrupt),
        ]
    )
    func answers(_ word: String, _ code: StoreError.Code) {
        let error = StoreError(redis: RedisError(.refused, "\(word) something", word: word))
        #expect(error.code == code)
        #expect(error.message.count > 30)
        #expect(error.cause?.contains(word) == true)
    }

    @Test("a lost answer leaves a write open, and a look not")
    func lost() {
        let lost = RedisError(.outcomeUnknown, "gone")
        #expect(StoreError(redis: lost).code == .outcomeUnknown)
        #expect(StoreError(redis: lost, writes: false).code == .unavailable)
        #expect(StoreError(redis: RedisError(.notSent, "gone")).code == .unavailable)
        #expect(StoreError(redis: RedisError(.closed, "gone")).code == .closed)
    }
}
