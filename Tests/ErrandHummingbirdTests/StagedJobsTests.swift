// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Hummingbird
import HummingbirdTesting
import InMemoryLogging
import Logging
import NIOCore
import Testing

@testable import Errand
@testable import ErrandHummingbird

/// Jobs staged by a request: stored before its response leaves, or the client is told.
@Suite(.timeLimit(.minutes(3))) struct StagedJobsTests {
    struct Oops: Error {}

    let logs = InMemoryLogHandler()
    let clock = ManualClock()

    var logger: Logger {
        var logger = Logger(label: "test") { _ in logs }
        logger.logLevel = .debug
        return logger
    }

    func runner(_ insert: @escaping @Sendable ([NewJob]) async throws -> Void) -> BackgroundRunner {
        var configuration = BackgroundRunnerConfiguration()
        configuration.sharedPoolProbe = nil
        return BackgroundRunner(
            store: BackgroundJobStore(client: JobClient(store: MemoryStore(clock: SystemClock.shared)), insert: insert),
            configuration: configuration,
            mode: .live,
            clock: clock,
            chance: Chance(SeededGenerator(seed: 1)),
            logger: logger,
            tracer: nil,
            onFailure: nil
        )
    }

    static func job(_ name: JobName) -> NewJob {
        var generator = SeededGenerator(seed: 1)
        return NewJob(id: JobID(at: .epoch, using: &generator), name: name, payload: Payload(bytes: []))
    }

    func router(status: HTTPResponse.Status = .accepted) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("it") { _, context -> HTTPResponse.Status in
            context.background.stage(when: .success) { Self.job("one") }
            context.background.stage(when: .success) { Self.job("two") }
            context.background.stage(when: .failure) { Self.job("alarm") }
            return status
        }
        return router
    }

    @Test("context.background.enqueue stores jobs through the client, and one that cannot be stored is named")
    func publicSpelling() async throws {
        struct Mail: Job {
            static let name: JobName = "mail"
            let address: String
        }
        let store = MemoryStore(clock: SystemClock.shared)
        let runner = BackgroundRunner(jobs: JobClient(store: store), logger: logger)
        let router = Router()
        router.get("it") { _, context -> HTTPResponse.Status in
            context.background.enqueue(Mail(address: "a@b.c"))
            context.background.enqueue(Mail(address: "d@e.f"), when: .failure)
            return .accepted
        }
        router.get("big") { _, context -> HTTPResponse.Status in
            context.background.enqueue(Mail(address: String(repeating: "x", count: 9_000_000)))
            return .accepted
        }
        let app = Application(router: router, background: runner, logger: logger)
        try await app.test(.live) { client in
            try await client.expect(.accepted, from: "/it")
            let jobs = try await JobClient(store: store).jobs().jobs
            #expect(jobs.map(\.name) == ["mail"])
            try await client.expect(.internalServerError, from: "/big")
        }
        let entry = try #require(logs.entries.first { "\($0.message)".contains("staged jobs were not stored") })
        #expect("\(entry.metadata["error"] ?? "")".contains("mail"))
    }

    @Test("All staged jobs of a request are stored in one write, before the response has left")
    func oneWrite() async throws {
        let writes = Recorder<[JobName]>()
        let runner = runner { jobs in writes.record(jobs.map(\.name)) }
        let app = Application(router: router(), background: runner, logger: logger)
        try await app.test(.live) { client in
            try await client.expect(.accepted, from: "/it")
            #expect(writes.values == [["one", "two"]])
        }
    }

    @Test("Nothing is stored for a 4xx but what asked for it")
    func conditions() async throws {
        let writes = Recorder<[JobName]>()
        let runner = runner { jobs in writes.record(jobs.map(\.name)) }
        let app = Application(router: router(status: .conflict), background: runner, logger: logger)
        try await app.test(.live) { client in
            try await client.expect(.conflict, from: "/it")
            #expect(writes.values == [["alarm"]])
        }
    }

    @Test("A store that fails turns the 2xx into 503 with problem+json; tasks for a success do not run")
    func storeFails() async throws {
        let seen = Recorder<String>()
        let done = Gate()
        let router = Router()
        router.get("it") { _, context -> HTTPResponse.Status in
            context.background.stage(when: .success) { Self.job("one") }
            context.background.add("success") { seen.record("success") }
            context.background.add("failure", when: .failure) {
                seen.record("failure")
                done.open()
            }
            return .accepted
        }
        let app = Application(router: router, background: runner { _ in throw Oops() }, logger: logger)
        try await app.test(.live) { client in
            let response = try await client.execute(uri: "/it", method: .get)
            #expect(response.status == .serviceUnavailable)
            #expect(response.headers[.contentType] == "application/problem+json")
            #expect(String(buffer: response.body).contains("\"status\":503"))
            #expect(!String(buffer: response.body).contains("Oops"))
            await done.wait()
        }
        #expect(seen.values == ["failure"])
        let entry = try #require(logs.entries.first { "\($0.message)".contains("staged jobs were not stored") })
        #expect(entry.level == .error)
        #expect("\(entry.metadata["error"] ?? "")".contains("Oops"))
    }

    @Test("A store that does not answer within 5 s gives 503, too")
    func storeHangs() async throws {
        let gate = Gate()
        let clock = clock
        let app = Application(router: router(), background: runner { _ in await gate.wait() }, logger: logger)
        try await app.test(.live) { client in
            async let response = client.execute(uri: "/it", method: .get)
            await clock.waitForTimer(in: .seconds(5))
            clock.advance(by: .seconds(5))
            let status = try await response.status
            #expect(status == .serviceUnavailable)
            gate.open()
        }
    }

    @Test("A job that cannot be encoded makes the response 500, and none of the others is stored")
    func notEncodable() async throws {
        let writes = Recorder<Int>()
        let router = Router()
        router.get("it") { _, context -> HTTPResponse.Status in
            context.background.stage(when: .success) { Self.job("one") }
            context.background.stage(when: .success) { throw Oops() }
            return .accepted
        }
        let app = Application(router: router, background: runner { writes.record($0.count) }, logger: logger)
        try await app.test(.live) { client in
            try await client.expect(.internalServerError, from: "/it")
        }
        #expect(writes.values.isEmpty)
    }

    @Test("A runner without a store fails the request instead of losing its job")
    func noStore() async throws {
        let runner = BackgroundRunner(clock: clock, logger: logger)
        let app = Application(router: router(), background: runner, logger: logger)
        try await app.test(.live) { client in
            try await client.expect(.serviceUnavailable, from: "/it")
        }
    }

    @Test("A job staged by a streaming body is stored when the body has ended")
    func inStream() async throws {
        let writes = Recorder<[JobName]>()
        let router = Router()
        router.get("it") { _, _ -> Response in
            Response(
                status: .ok,
                body: ResponseBody { writer in
                    BackgroundTasks.current?.stage(when: .success) { Self.job("streamed") }
                    try await writer.write(ByteBuffer(string: "x"))
                    try await writer.finish(nil)
                }
            )
        }
        let app = Application(
            router: router,
            background: runner { writes.record($0.map(\.name)) },
            logger: logger
        )
        try await app.test(.live) { client in
            try await client.expect(.ok, from: "/it")
            while writes.values.isEmpty { await Task.yield() }
        }
        #expect(writes.values == [["streamed"]])
    }
}
