// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Testing

@testable import Errand

@Suite("Deeply nested payloads", .timeLimit(.minutes(3)))
struct JSONNestingTests {
    private static func open(_ count: Int, _ bracket: String = "[") -> String {
        String(repeating: bracket, count: count)
    }

    @Test(
        "levels are counted outside of strings, up to the 512 that the decoder takes",
        arguments: [
            ("", false), (open(512), false), (open(513), true), (open(512) + open(512, "]") + open(3), false),
            (open(256, "[{\"a\":"), false), (open(257, "[{\"a\":"), true), ("\"" + open(900) + "\"", false),
            ("\"\\\"" + open(900) + "\"", false), ("\"\\\\\"" + open(600), true), (open(2000, "[]"), false),
            (open(900, "]") + open(513), false), (open(600, "[\0"), true), ("\u{FEFF}" + open(513), true),
        ] as [(String, Bool)]
    )
    func levels(_ text: String, _ isTooDeep: Bool) {
        #expect(JSONNesting.isTooDeep(Array(text.utf8)) == isTooDeep)
    }

    @Test("a text in UTF-16, whose brackets are not seen, is not given to the decoder")
    func wide() {
        let bytes: [UInt8] = Array(repeating: [0x5B, 0x00], count: 600).flatMap(\.self)
        #expect(JSONNesting.isTooDeep(bytes))
        #expect(JSONNesting.isTooDeep([0xFF, 0xFE] + bytes) && JSONNesting.isTooDeep([0xFE, 0xFF] + bytes.reversed()))
    }

    @Test(
        "a payload that ends behind one bracket too many ends its job and not the process",
        arguments: [512, 513, 514]
    )
    func trap(_ count: Int) async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        var job = try harness.client.prepare(Chore(number: 1))
        job.payload.bytes = Array(Self.open(count).utf8)
        _ = try await harness.client.enqueue(prepared: [job])
        try await harness.runDue()
        let record = try #require(try await harness.client.job(job.id, parts: .payload))
        #expect(record.state == .failed && record.reason == .undecodable && record.attempt == 0)
        #expect(record.payload == job.payload)
    }
}
