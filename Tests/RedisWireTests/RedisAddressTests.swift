// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import RedisWire
import Testing

@Suite("URLs of servers")
struct RedisAddressTests {
    static let good: [(String, RedisAddress)] = [
        ("redis://localhost", RedisAddress(host: "localhost")),
        ("redis://10.0.0.1:7000/3", RedisAddress(host: "10.0.0.1", port: 7000, database: 3)),
        ("rediss://redis.example:6380", RedisAddress(host: "redis.example", port: 6380, usesTLS: true)),
        ("redis://:secret@h", RedisAddress(host: "h", password: "secret")),
        ("redis://ada:s%40c%2Fr:t@h/0", RedisAddress(host: "h", user: "ada", password: "s@c/r:t")),
        ("redis://[::1]:7/", RedisAddress(host: "::1", port: 7)),
        ("valkey://h", RedisAddress(host: "h")),
    ]

    @Test("are read", arguments: good)
    func reads(_ url: String, _ address: RedisAddress) throws {
        #expect(try RedisAddress(url: url) == address)
    }

    @Test(
        "are refused with a sentence that does not tell the password",
        arguments: [
            "localhost:6379", "http://h", "redis://", "redis://h:0", "redis://h:99999", "redis://h:x", "redis://h/a",
            "redis://ada@h", "redis://:topsecret%zz@h", "redis://:topsecret@", "redis://[::1", "redis://h?x=1",
        ]
    )
    func refuses(_ url: String) {
        let problem = #expect(throws: RedisURLProblem.self) { try RedisAddress(url: url) }
        #expect(problem?.description.contains("topsecret") == false)
        #expect((problem?.description.count ?? 0) > 20)
    }

    @Test("are described without the password")
    func description() throws {
        let address = try RedisAddress(url: "rediss://ada:topsecret@h:1/2")
        #expect("\(address)" == "rediss://h:1/2")
        #expect(String(reflecting: address) == "rediss://h:1/2")
    }
}
