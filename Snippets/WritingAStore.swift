// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// How an engine's test target runs the conformance suite.

import Errand
import ErrandTesting
import Testing

// snippet.conformance
@Suite struct MemoryConformance {
    @Test(arguments: StoreConformance.cases)
    func holds(_ example: StoreConformance.Case) async throws {
        try await example.run { clock in MemoryStore(clock: clock) }
    }
}
// snippet.end
