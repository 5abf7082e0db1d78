// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// Jobs on Redis, and the client under it.

import Errand
import ErrandRedis
import RedisWire

func openRedis() throws -> JobClient {
    // snippet.redis
    let store = try RedisStore(url: "redis://127.0.0.1:6379/0")
    // snippet.end
    return JobClient(store: store)
}

func talk() async throws -> String? {
    // snippet.wire
    let client = RedisClient(RedisConfiguration(try RedisAddress(url: "redis://127.0.0.1:6379")))
    let answer = try await client.send(RedisCommand("GET", "greeting"))
    // snippet.end
    await client.close()
    return answer.text
}
