// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("The memory store keeps every rule of a store")
struct MemoryConformanceTests {
    @Test(.timeLimit(.minutes(3)), arguments: StoreConformance.cases)
    func holds(_ example: StoreConformance.Case) async throws {
        try await example.run { clock in MemoryStore(clock: clock) }
    }
}
