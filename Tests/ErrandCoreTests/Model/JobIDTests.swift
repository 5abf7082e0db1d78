// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Testing

@Suite("Job ids")
struct JobIDTests {
    @Test("an id is a UUID of version 7 with the time it was made")
    func layout() {
        var generator = SeededGenerator(seed: 7)
        let now = Timestamp(microseconds: 1_767_225_600_123_456)
        for _ in 0..<1000 {
            let id = JobID(at: now, using: &generator)
            let text = Array(id.description)
            #expect(text.count == 36)
            #expect(text[14] == "7")
            #expect("89ab".contains(text[19]))
            #expect(id.madeAt == Timestamp(microseconds: 1_767_225_600_123_000))
        }
    }

    @Test("ids sort by the time they were made, as numbers, text and bytes")
    func order() {
        var generator = SeededGenerator(seed: 1)
        let ids = (0..<500).map { JobID(at: Timestamp(microseconds: Int64($0) * 1_000_000), using: &generator) }
        #expect(ids == ids.sorted())
        #expect(ids.map(\.description) == ids.map(\.description).sorted())
        #expect(zip(ids, ids.dropFirst()).allSatisfy { $0.bytes.lexicographicallyPrecedes($1.bytes) })
    }

    @Test("text and bytes lead back to the id, in any case and without hyphens")
    func roundTrip() {
        var generator = SeededGenerator(seed: 2)
        let id = JobID(at: .epoch, using: &generator)
        #expect(JobID(id.description) == id)
        #expect(JobID(id.description.uppercased()) == id)
        #expect(JobID(id.description.filter { $0 != "-" }) == id)
        #expect(JobID(bytes: id.bytes) == id)
    }

    @Test(
        "other texts are no ids",
        arguments: ["", "x", "0192f3c4", String(repeating: "0", count: 33), String(repeating: "g", count: 32), "é"]
    )
    func refused(text: String) {
        #expect(JobID(text) == nil)
    }

    @Test("fifteen and seventeen bytes are no id")
    func refusedBytes() {
        #expect(JobID(bytes: [UInt8](repeating: 0, count: 15)) == nil)
        #expect(JobID(bytes: [UInt8](repeating: 0, count: 17)) == nil)
    }

    @Test("times before 1970 and far away do not trap")
    func extremes() {
        var generator = SeededGenerator(seed: 3)
        #expect(JobID(at: Timestamp(microseconds: .min), using: &generator).madeAt == .epoch)
        _ = JobID(at: .distantFuture, using: &generator)
    }
}
