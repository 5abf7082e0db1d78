// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandRedis
import ErrandTesting
import Foundation
import TestServers
import Testing

@Suite("Redis conforms", .timeLimit(.minutes(5)))
struct RedisConformanceTests {
    @Test(arguments: StoreConformance.cases)
    func holds(_ example: StoreConformance.Case) async throws {
        let server = try RedisServer.shared()
        let configuration = RedisStoreConfiguration(name: UUID().uuidString)
        let open: StoreConformance.Factory = { clock in
            try RedisStore(url: server.url, configuration: configuration, time: clock)
        }
        try await example.run(make: open, reopen: open)
    }
}
