// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Payloads of other versions and formats", .timeLimit(.minutes(3)))
struct PayloadVersionTests {
    private struct OldPerson: Job {
        static let name: JobName = "person"
        let name: String
    }

    private struct Person: Job {
        static let name: JobName = "person"
        static let version = 2
        let first: String
        let last: String

        init(first: String, last: String) { (self.first, self.last) = (first, last) }

        /// Version 1 had both names in one field.
        static func decode(_ payload: Payload) throws -> Person {
            guard payload.version == 1 else { return try PersonCoding.decode(payload) }
            let parts = try OldPerson.decode(payload).name.split(separator: " ").map(String.init)
            return Person(first: parts.first ?? "", last: parts.dropFirst().joined(separator: " "))
        }
    }

    /// Reaches the decoding that ``Person`` would have without one of its own.
    private struct PersonCoding: Job {
        static let name: JobName = "person"
        let first: String
        let last: String

        static func decode(_ payload: Payload) throws -> Person {
            let plain: PersonCoding = try decode(payload)
            return Person(first: plain.first, last: plain.last)
        }
    }

    private struct Point: Job {
        static let name: JobName = "point"
        let x: Int
        let y: Int

        init(x: Int, y: Int) { (self.x, self.y) = (x, y) }

        static func decode(_ payload: Payload) throws -> Point {
            let parts = String(decoding: payload.bytes, as: UTF8.self).split(separator: ";").compactMap { Int($0) }
            guard payload.format == .semicolons, parts.count == 2 else { throw Trouble() }
            return Point(x: parts[0], y: parts[1])
        }
    }

    private let ran = Recorder<String>()

    @Test("a handler of a newer version reads what older code enqueued, with its type's own decoding")
    func older() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Person.self) { [ran] person, _ in ran.record("\(person.last), \(person.first)") }
        }
        let old = try await harness.client.enqueue(OldPerson(name: "Ada Lovelace"))
        let new = try await harness.client.enqueue(Person(first: "Grace", last: "Hopper"))
        #expect(try await [old.record().payload.version, new.record().payload.version] == [1, 2])
        try await harness.runDue()
        #expect(Set(ran.values) == ["Lovelace, Ada", "Hopper, Grace"])
    }

    @Test("a job of a newer version waits past an old worker for a new one, as in a rolling deploy")
    func newer() async throws {
        let old = ErrandHarness { handlers, _ in
            handlers.add(OldPerson.self) { [ran] person, _ in ran.record("old: \(person.name)") }
        }
        let new = ErrandHarness(clock: old.clock, store: old.store) { handlers, _ in
            handlers.add(Person.self) { [ran] person, _ in ran.record("new: \(person.first)") }
        }
        let handle = try await old.client.enqueue(Person(first: "Grace", last: "Hopper"))
        let other = try await old.client.enqueue(OldPerson(name: "Ada"))
        #expect(try await old.runDue() == [other.id])
        #expect(try await handle.record().state == .ready)
        #expect(try await new.runDue() == [handle.id])
        #expect(ran.values == ["old: Ada", "new: Grace"])
    }

    @Test("a payload in a format of the application's own is read by its type's decoding")
    func ownFormat() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Point.self) { [ran] point, _ in ran.record("\(point.x)/\(point.y)") }
        }
        var job = try harness.client.prepare(Point(x: 0, y: 0))
        job.payload = Payload(bytes: Array("3;4".utf8), format: .semicolons)
        let results = try await harness.client.enqueue(prepared: [job])
        #expect(results == [EnqueueResult(id: job.id, kind: .stored)])
        try await harness.runDue()
        #expect(ran.values == ["3/4"])
    }

    @Test("a format that the type does not read fails the job without an attempt, and the error says what to do")
    func unknownFormat() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        var job = try harness.client.prepare(Chore(number: 1))
        job.payload = Payload(bytes: Array("1".utf8), format: .semicolons)
        _ = try await harness.client.enqueue(prepared: [job])
        try await harness.runDue()
        let record = try #require(try await harness.client.job(job.id, parts: .payload))
        #expect(record.reason == .undecodable && record.attempt == 0)
        #expect(record.error?.message.contains("the payload is 'semicolons', not JSON; give Chore its own") == true)
        #expect(record.payload == job.payload)
    }
}

extension Payload.Format {
    fileprivate static let semicolons = Payload.Format(rawValue: "semicolons")
}
