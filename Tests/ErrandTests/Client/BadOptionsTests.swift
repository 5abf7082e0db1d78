// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Bad options of an enqueue", .timeLimit(.minutes(3)))
struct BadOptionsTests {
    private struct Nameless: Job {
        static let name: JobName = ""
    }

    private struct Unversioned: Job {
        static let name: JobName = "unversioned"
        static let version = 0
    }

    struct Example: Sendable, CustomTestStringConvertible {
        let what: String
        var options: EnqueueOptions
        let says: String

        init(_ what: String, says: String, _ change: (inout EnqueueOptions) -> Void) {
            (self.what, self.says, options) = (what, says, EnqueueOptions())
            change(&options)
        }

        var testDescription: String { what }
    }

    static let bad: [Example] = [
        Example("no queue", says: "the queue name is empty; give it at least one character") { $0.queue = "" },
        Example("a long queue", says: "201 bytes; the limit is 200, so shorten it") { options in
            options.queue = QueueName(String(repeating: "q", count: 201))
        },
        Example("a control character", says: "holds a control character; remove it") { $0.queue = "a\nb" },
        Example("too many tags", says: "'chore' has 21 tags; the limit is 20") { options in
            options.tags = (0..<21).map { "t\($0)" }
        },
        Example("an empty tag", says: "the tag is empty; give it at least one character") { $0.tags = [""] },
        Example("too many headers", says: "'chore' has 51 headers; the limit is 50") { options in
            for number in 0..<51 { options.headers["h\(number)"] = "" }
        },
        Example("large headers", says: "the limit is 16384: put large data into the payload") { options in
            options.headers = ["h": String(repeating: "x", count: 16_384)]
        },
        Example("a nameless header", says: "the header name is empty") { $0.headers = ["": "x"] },
        Example("an empty key", says: "the unique key is empty") { $0.unique = UniqueRule(key: "") },
        Example("a key for no time", says: "give forTTL a positive duration") { options in
            options.unique = UniqueRule(key: "k", scope: .forTTL(.zero))
        },
        Example("no timeout", says: "the timeout of 'chore' is 0.0 seconds; give a positive duration or none") {
            $0.timeout = .within(.zero)
        },
        Example("a deadline before now", says: "the deadline of 'chore' is -1.0 seconds; give a positive") {
            $0.deadline = .within(.seconds(-1))
        },
        Example("no time to start", says: "the start-within of 'chore' is 0.0 seconds; give a positive") {
            $0.startWithin = .within(.zero)
        },
    ]

    @Test(
        "an option that cannot be stored is refused before anything is, and the error says what to do",
        arguments: bad
    )
    func refused(_ example: Example) async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = ErrandHarness(clock: clock, store: store)
        let error = await #expect(throws: ErrandError.self) {
            try await harness.client.enqueue(Chore(number: 1), options: example.options)
        }
        #expect(error?.code == .invalidJob)
        #expect(error?.message.contains(example.says) == true, "\(error?.message ?? "")")
        #expect(store.calls() == 0)
    }

    @Test("a payload over the client's limit is refused before it reaches the store")
    func payload() async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        var configuration = JobClientConfiguration()
        configuration.payloadLimit = 20
        let client = JobClient(store: store, configuration: configuration, clock: clock)
        try await client.enqueue(Greeting(who: "Ada"))
        let error = await #expect(throws: ErrandError.self) {
            try await client.enqueue(Greeting(who: "Augusta Ada King"))
        }
        #expect(error?.code == .invalidJob)
        #expect(error?.message.contains("store the data elsewhere and enqueue a reference to it") == true)
        #expect(store.calls(of: .insert) == 1)
    }

    @Test("a job type without a name or with a version below 1 cannot be enqueued")
    func types() async throws {
        let harness = ErrandHarness()
        let nameless = await #expect(throws: ErrandError.self) { try await harness.client.enqueue(Nameless()) }
        #expect(nameless?.message == "the job name is empty; give it at least one character")
        let unversioned = await #expect(throws: ErrandError.self) { try await harness.client.enqueue(Unversioned()) }
        #expect(unversioned?.message == "the version of 'unversioned' is 0; versions start at 1")
        #expect(try await harness.client.counts().rows.isEmpty)
    }
}
