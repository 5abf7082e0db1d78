// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Interceptors around enqueue", .timeLimit(.minutes(3)))
struct EnqueueInterceptorTests {
    private struct NotAllowed: Error {}

    private struct Named: EnqueueInterceptor {
        let name: String
        let log: Recorder<String>

        func prepare(_ job: inout NewJob) throws {
            log.record("\(name) prepares")
            job.headers["road", default: ""] += name
        }

        func enqueue(_ jobs: [NewJob], next: NextWrite) async throws -> [EnqueueResult] {
            log.record("\(name) before \(jobs.count)")
            let results = try await next(jobs)
            log.record("\(name) after \(results.count)")
            return results
        }
    }

    /// Changes or refuses jobs by what a test says; spells the type of the chain out, as a module with this one's
    /// settings may.
    private struct Gatekeeper: EnqueueInterceptor {
        var change: @Sendable (inout NewJob) throws -> Void = { _ in }
        var mayWrite = true

        func prepare(_ job: inout NewJob) throws { try change(&job) }

        func enqueue(
            _ jobs: [NewJob],
            next: @Sendable ([NewJob]) async throws -> [EnqueueResult]
        ) async throws -> [EnqueueResult] {
            guard mayWrite else { throw NotAllowed() }
            return try await next(jobs)
        }
    }

    private let clock = ManualClock()
    private let store: FaultyStore
    private let log = Recorder<String>()

    init() {
        store = FaultyStore(MemoryStore(clock: clock), clock: clock)
    }

    private func client(_ interceptors: any EnqueueInterceptor...) -> JobClient {
        JobClient(store: store, interceptors: interceptors, clock: clock)
    }

    @Test("the first interceptor is the outermost, and every one sees every job before it is stored")
    func order() async throws {
        let client = client(Named(name: "a", log: log), Named(name: "b", log: log))
        let handle = try await client.enqueue(Chore(number: 1), options: EnqueueOptions(headers: ["road": "-"]))
        let expected = ["a prepares", "b prepares", "a before 1", "b before 1", "b after 1", "a after 1"]
        #expect(log.values == expected)
        #expect(try await handle.record().headers == ["road": "-ab"])
    }

    @Test("many jobs are prepared one by one and written through the chain together")
    func many() async throws {
        let handles = try await client(Named(name: "a", log: log)).enqueue(contentsOf: (0..<3).map(Chore.init))
        #expect(handles.count == 3)
        #expect(log.values == ["a prepares", "a prepares", "a prepares", "a before 3", "a after 3"])
    }

    @Test("an interceptor may change all of a job, and the handler sees it")
    func changes() async throws {
        let seen = Recorder<[String: String]>()
        let harness = ErrandHarness(clock: clock, store: store) { handlers, _ in
            handlers.add(Chore.self) { _, context in seen.record(context.headers) }
        }
        let client = client(
            Gatekeeper(change: { job in
                job.headers["tenant"] = "t7"
                job.tags.append("audited")
                job.priority = .urgent
            })
        )
        let handle = try await client.enqueue(Chore(number: 1))
        let record = try await handle.record()
        #expect(record.tags == ["audited"] && record.priority == .urgent)
        try await harness.runDue()
        #expect(seen.values == [["tenant": "t7"]])
    }

    @Test("a job that an interceptor refuses, in either place, is not stored, and the caller gets its error")
    func refusal() async throws {
        let refusing = [Gatekeeper(change: { _ in throw NotAllowed() }), Gatekeeper(mayWrite: false)]
        for interceptor in refusing {
            let client = client(Named(name: "outer", log: log), interceptor)
            await #expect(throws: NotAllowed.self) { try await client.enqueue(Chore(number: 1)) }
        }
        #expect(store.calls() == 0)
        #expect(log.values == ["outer prepares", "outer prepares", "outer before 1"])
    }

    @Test("an interceptor that leaves jobs without an answer is an error that names it, not a trap")
    func unanswered() async throws {
        struct Dropping: EnqueueInterceptor {
            func enqueue(_ jobs: [NewJob], next: NextWrite) async throws -> [EnqueueResult] { [] }
        }
        let error = await #expect(throws: ErrandError.self) {
            try await client(Named(name: "outer", log: log), Dropping()).enqueue(Chore(number: 1))
        }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("Dropping answered 0 results for 1 jobs") == true)
    }

    @Test("what an interceptor makes of a job is checked like what a caller asks for")
    func checked() async throws {
        let client = client(Gatekeeper(change: { $0.tags = [""] }))
        let error = await #expect(throws: ErrandError.self) { try await client.enqueue(Chore(number: 1)) }
        #expect(error?.code == .invalidJob)
        #expect(store.calls() == 0)
    }
}
