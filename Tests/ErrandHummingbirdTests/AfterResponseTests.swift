// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Hummingbird
import HummingbirdTesting
import HTTPTypes
import InMemoryLogging
import Logging
import NIOCore
import Synchronization
import Testing

@testable import Errand
@testable import ErrandHummingbird

/// What holds over a real socket, for tasks added while a request is answered.
@Suite(.timeLimit(.minutes(3))) struct AfterResponseTests {
    struct Oops: Error {}

    let logs = InMemoryLogHandler()

    var logger: Logger {
        var logger = Logger(label: "test") { _ in logs }
        logger.logLevel = .debug
        return logger
    }

    func runner(_ configure: (inout BackgroundRunnerConfiguration) -> Void = { _ in }) -> BackgroundRunner {
        var configuration = BackgroundRunnerConfiguration()
        configure(&configuration)
        return BackgroundRunner(configuration: configuration, logger: logger)
    }

    func app(
        _ router: Router<BasicRequestContext>,
        _ runner: BackgroundRunner
    ) -> Application<BackgroundResponder<RouterResponder<BasicRequestContext>>> {
        Application(router: router, background: runner, logger: logger)
    }

    @Test("A task that fails does not stop the next, and the client has its answer")
    func failure() async throws {
        let seen = Recorder<String>()
        let done = Gate()
        let router = Router()
        router.get("go") { _, context -> String in
            context.background.add("bad") {
                seen.record("bad")
                throw Oops()
            }
            context.background.add("good") {
                seen.record("good")
                done.open()
            }
            return "ok"
        }
        try await app(router, runner())
            .test(.live) { client in
                let response = try await client.execute(uri: "/go", method: .get)
                #expect(response.status == .ok)
                #expect(String(buffer: response.body) == "ok")
                await done.wait()
            }
        #expect(seen.values == ["bad", "good"])
    }

    @Test("The next request on the same connection is answered while the task of the first one still runs")
    func keepAlive() async throws {
        let gate = Gate()
        let finished = Gate()
        let router = Router()
        router.get("slow") { _, context -> String in
            context.background.add {
                await gate.wait()
                finished.open()
            }
            return "one"
        }
        router.get("fast") { _, _ in "two" }
        try await app(router, runner())
            .test(.live) { client in
                let connection = try RawConnection(port: try #require(client.port))
                try connection.get("/slow")
                try await connection.expectOK(until: "one")
                try connection.get("/fast")
                try await connection.expectOK(until: "two")
                gate.open()
                await finished.wait()
            }
    }

    @Test("The task starts only after the whole of a streamed body, and knows how its delivery ended")
    func stream() async throws {
        let seen = Recorder<String>()
        let done = Gate()
        let router = Router()
        router.get("stream") { _, context -> Response in
            context.background.add("after") {
                seen.record("task \(BackgroundTaskContext.current?.delivery?.isComplete == true)")
                done.open()
            }
            return Response(
                status: .ok,
                body: ResponseBody { writer in
                    for chunk in ["a", "b", "c"] {
                        seen.record(chunk)
                        try await writer.write(ByteBuffer(string: chunk))
                    }
                    try await writer.finish(nil)
                }
            )
        }
        try await app(router, runner())
            .test(.live) { client in
                let response = try await client.execute(uri: "/stream", method: .get)
                #expect(String(buffer: response.body) == "abc")
                await done.wait()
            }
        #expect(seen.values == ["a", "b", "c", "task true"])
    }

    @Test("A streaming body can add the first task of its request")
    func addInStream() async throws {
        let done = Gate()
        let requestIDs = Recorder<String?>()
        let router = Router()
        router.get("stream") { _, _ -> Response in
            Response(
                status: .ok,
                body: ResponseBody { writer in
                    BackgroundTasks.current?
                        .add("from the stream") {
                            requestIDs.record(BackgroundTaskContext.current?.requestID)
                            done.open()
                        }
                    try await writer.write(ByteBuffer(string: "x"))
                    try await writer.finish(nil)
                }
            )
        }
        try await app(router, runner())
            .test(.live) { client in
                _ = try await client.execute(uri: "/stream", method: .get)
                await done.wait()
            }
        #expect(requestIDs.values.count == 1)
        #expect(requestIDs.values.first != .some(nil))
    }

    @Test("When a stream's own code throws, the tasks still run and are told")
    func streamError() async throws {
        let deliveries = Recorder<Bool?>()
        let done = Gate()
        let router = Router()
        router.get("stream") { _, context -> Response in
            context.background.add(when: .delivered) { Issue.record("ran") }
            context.background.add {
                deliveries.record(BackgroundTaskContext.current?.delivery?.isComplete)
                done.open()
            }
            return Response(status: .ok, body: ResponseBody { _ in throw Oops() })
        }
        try await app(router, runner())
            .test(.live) { client in
                let connection = try RawConnection(port: try #require(client.port))
                try connection.get("/stream")
                await done.wait()
            }
        #expect(deliveries.values == [false])
    }

    @Test("HEAD runs the tasks of the GET handler, made by the router or written out", arguments: [true, false])
    func head(isAutomatic: Bool) async throws {
        let done = Gate()
        let router = isAutomatic ? Router(options: .autoGenerateHeadEndpoints) : Router()
        let handler: @Sendable (Request, BasicRequestContext) async throws -> Response = { _, context in
            context.background.add { done.open() }
            return Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: "body")))
        }
        router.on("it", method: isAutomatic ? .get : .head, use: handler)
        try await app(router, runner())
            .test(.live) { client in
                let connection = try RawConnection(port: try #require(client.port))
                try connection.get("/it", method: "HEAD")
                let answer = try await connection.read(until: "\r\n\r\n")
                #expect(answer.contains("200 OK"))
                if isAutomatic { #expect(answer.lowercased().contains("content-length: 4")) }
                await done.wait()
            }
    }

    @Test(
        "Which tasks run follows the status that goes out, however it came about",
        arguments: [
            ("ok", 200, ["success", "always"]), ("redirect", 303, ["success", "always"]),
            ("returned", 404, ["failure", "always"]), ("thrown", 409, ["failure", "always"]),
            ("unknown", 500, ["failure", "always"]),
        ]
    )
    func status(path: String, status: Int, expected: [String]) async throws {
        let seen = Recorder<String>()
        let done = Gate()
        let router = Router()
        router.get(":path") { _, context -> Response in
            context.background.add("success") { seen.record("success") }
            context.background.add("failure", when: .failure) { seen.record("failure") }
            context.background.add("always", when: .always) {
                seen.record("always")
                done.open()
            }
            switch context.parameters.get("path") {
            case "redirect": return Response.redirect(to: "/elsewhere")
            case "returned": return Response(status: .notFound)
            case "thrown": throw HTTPError(.conflict)
            case "unknown": throw Oops()
            default: return Response(status: .ok)
            }
        }
        try await app(router, runner())
            .test(.live) { client in
                let response = try await client.execute(uri: "/\(path)", method: .get)
                #expect(response.status.code == status)
                await done.wait()
            }
        #expect(seen.values == expected)
        let drops = logs.entries.filter { $0.message == "background tasks dropped" }
        #expect(drops.count == (status < 400 ? 0 : 1))
    }

    @Test("An error with nothing to do for it is left to the application, as without a runner")
    func bareError() async throws {
        let router = Router()
        router.get("bad") { _, _ -> String in throw Oops() }
        try await app(router, runner())
            .test(.live) { client in
                try await client.expect(.internalServerError, from: "/bad")
                try await client.expect(.notFound, from: "/nowhere")
            }
    }

    @Test("Tasks run when the client is gone before its answer is written", arguments: [false, true])
    func clientGone(isStream: Bool) async throws {
        let (entered, proceed, done) = (Gate(), Gate(), Gate())
        let router = Router()
        router.get("it") { _, context -> Response in
            context.background.add { done.open() }
            entered.open()
            await proceed.wait()
            guard isStream else { return Response(status: .ok) }
            let chunk = ByteBuffer(repeating: 65, count: 1 << 20)
            return Response(
                status: .ok,
                body: ResponseBody { writer in
                    for _ in 0..<64 { try await writer.write(chunk) }
                    try await writer.finish(nil)
                }
            )
        }
        try await app(router, runner())
            .test(.live) { client in
                let connection = try RawConnection(port: try #require(client.port))
                try connection.get("/it")
                await entered.wait()
                connection.abort()
                proceed.open()
                await done.wait()
            }
    }

    @Test("Tasks run when their response is dropped without being written")
    func neverWritten() async throws {
        let done = Gate()
        let tasks = BackgroundTasks(runner: runner(), logger: logger)
        tasks.add { done.open() }
        tasks.responded(status: 200)
        do { _ = ResponseBody().handingOver(tasks) }
        await done.wait()
    }

    @Test("Middleware, handler, services and child tasks of a request share one list; order is that of adding")
    func oneList() async throws {
        struct Adding: RouterMiddleware {
            let seen: Recorder<String>

            func handle(
                _ input: Request,
                context: BasicRequestContext,
                next: @concurrent (Request, BasicRequestContext) async throws -> Response
            ) async throws -> Response {
                context.background.add { seen.record("before") }
                let response = try await next(input, context)
                context.background.add { seen.record("after") }
                return response
            }
        }
        let seen = Recorder<String>()
        let done = Gate()
        @Sendable func service() { BackgroundTasks.current?.add { seen.record("service") } }
        let router = Router()
        router.add(middleware: Adding(seen: seen))
        router.get("it") { _, context -> String in
            context.background.add { seen.record("handler") }
            async let child: Void = service()
            await child
            context.background.add(concurrent: false) { done.open() }
            return ""
        }
        let runner = runner()
        try await app(router, runner)
            .test(.live) { client in
                _ = try await client.execute(uri: "/it", method: .get)
                await done.wait()
                while seen.values.count < 4 { await Task.yield() }
            }
        #expect(seen.values == ["before", "handler", "service", "after"])
    }

    @Test("A task left behind by the handler can still add work after the response")
    func lateAdd() async throws {
        let (answered, done) = (Gate(), Gate())
        let router = Router()
        router.get("it") { _, _ -> String in
            Task {
                await answered.wait()
                BackgroundTasks.current?.add("late") { done.open() }
            }
            return ""
        }
        try await app(router, runner())
            .test(.live) { client in
                _ = try await client.execute(uri: "/it", method: .get)
                answered.open()
                await done.wait()
            }
    }

    @Test("A full queue holds only the connection that submits; others are answered, nothing is dropped")
    func overflow() async throws {
        let gate = Gate()
        let ran = Recorder<Int>()
        let router = Router()
        router.get("work") { _, context -> String in
            context.background.add("work") {
                await gate.wait()
                ran.record(1)
            }
            return "added"
        }
        router.get("plain") { _, _ in "plain" }
        let runner = runner {
            $0.concurrency = 1
            $0.queueLimit = 1
        }
        try await app(router, runner)
            .test(.live) { client in
                let port = try #require(client.port)
                let connections = try (0..<3).map { _ in try RawConnection(port: port) }
                for connection in connections {
                    try connection.get("/work")
                    try await connection.expectOK(until: "added")
                    // One runs, one is queued, and the third is held.
                    while runner.state.withLock({ $0.records.isEmpty }) { await Task.yield() }
                }
                while runner.state.withLock({ $0.holds.isEmpty }) { await Task.yield() }
                // The held client's next request waits with it ...
                try connections[2].get("/plain")
                // ... while others are answered, on a new connection and on the two whose tasks were taken.
                let other = try RawConnection(port: port)
                for free in [other, connections[0], connections[1]] {
                    try free.get("/plain")
                    try await free.expectOK(until: "plain")
                }
                #expect(ran.values.isEmpty)
                gate.open()
                try await connections[2].expectOK(until: "plain")
                while ran.values.count < 3 { await Task.yield() }
            }
    }

    @Test("A handler can answer 503 instead of being held, by reserving room first")
    func reserving() async throws {
        let gate = Gate()
        let router = Router()
        router.get("work") { _, context -> HTTPResponse.Status in
            do { try context.background.reserve(1) } catch { return .serviceUnavailable }
            context.background.add { await gate.wait() }
            return .accepted
        }
        let runner = runner {
            $0.concurrency = 1
            $0.queueLimit = 1
        }
        try await app(router, runner)
            .test(.live) { client in
                var statuses: [Int] = []
                for _ in 0..<3 {
                    statuses.append(try await client.execute(uri: "/work", method: .get).status.code)
                    while runner.state.withLock({ $0.machine.reserved > 0 }) { await Task.yield() }
                }
                #expect(statuses == [202, 202, 503])
                gate.open()
            }
    }

    @Test("32 blocking tasks delay no other request")
    func blocking() async throws {
        let gate = ThreadGate()
        let ran = Recorder<Int>()
        let router = Router()
        router.get("block") { _, context -> String in
            for number in 0..<32 {
                context.background.addBlocking("block", concurrent: true) {
                    gate.wait()
                    ran.record(number)
                }
            }
            return "blocking"
        }
        router.get("plain") { _, _ in "plain" }
        try await app(router, runner())
            .test(.live) { client in
                _ = try await client.execute(uri: "/block", method: .get)
                for _ in 0..<50 {
                    let response = try await client.execute(uri: "/plain", method: .get)
                    #expect(String(buffer: response.body) == "plain")
                }
                #expect(ran.values.isEmpty)
                gate.open()
                while ran.values.count < 32 { await Task.yield() }
            }
    }

    @Test("32 tasks that block without saying so hold the runner's threads and delay no other request either")
    func blockingWithoutSayingSo() async throws {
        let gate = ThreadGate()
        let ran = Recorder<Int>()
        let router = Router()
        router.get("block") { _, context -> String in
            for number in 0..<32 {
                context.background.add("block", concurrent: true) {
                    gate.wait()
                    ran.record(number)
                }
            }
            return "blocking"
        }
        router.get("plain") { _, _ in "plain" }
        try await app(router, runner())
            .test(.live) { client in
                _ = try await client.execute(uri: "/block", method: .get)
                for _ in 0..<50 {
                    let response = try await client.execute(uri: "/plain", method: .get)
                    #expect(String(buffer: response.body) == "plain")
                }
                gate.open()
                while ran.values.count < 32 { await Task.yield() }
            }
    }

    @Test("Shutdown finishes the server first, then lets the tasks finish")
    func drain() async throws {
        let gate = Gate()
        let ran = Recorder<String>()
        let router = Router()
        router.get("it") { _, context -> String in
            context.background.add("running") {
                await gate.wait()
                ran.record("running")
            }
            context.background.add("queued") { ran.record("queued") }
            return ""
        }
        let runner = runner()
        try await app(router, runner)
            .test(.live) { client in
                _ = try await client.execute(uri: "/it", method: .get)
                Task {
                    // Opened only when the drain has begun.
                    while runner.state.withLock({ $0.machine.phase }) == .accepting { await Task.yield() }
                    gate.open()
                }
            }
        #expect(ran.values == ["running", "queued"])
        #expect(runner.state.withLock { $0.deadline } != nil)
    }

    @Test("What shutdown cannot finish is cancelled and reported with its request's id")
    func lost() async throws {
        let router = Router()
        router.get("it") { _, context -> String in
            context.background.add("endless") { try await SystemClock.shared.sleep(for: .hours(9)) }
            return ""
        }
        let runner = runner { $0.drain = .milliseconds(10) }
        try await app(router, runner)
            .test(.live) { client in
                _ = try await client.execute(uri: "/it", method: .get)
            }
        let entry = try #require(logs.entries.first { $0.message == "background tasks lost at shutdown" })
        #expect(entry.level == .error)
        #expect("\(entry.metadata["background.task"] ?? "")".contains("endless cancelled"))
        #expect(!"\(entry.metadata["background.task"] ?? "")".contains(" -"))
    }

    @Test("The modes work with the router alone and over a socket", arguments: ["router", "live"])
    func modes(way: String) async throws {
        let setup: TestingSetup = way == "router" ? .router : .live
        let router = Router()
        router.get("it") { _, context -> String in
            context.background.add("welcome") {}
            context.background.add("crm") { throw Oops() }
            return ""
        }
        let immediate = BackgroundRunner(mode: .immediate, logger: logger)
        try await app(router, immediate)
            .test(setup) { client in
                _ = try await client.execute(uri: "/it", method: .get)
                #expect(immediate.finished.map(\.name) == ["welcome", "crm"])
                #expect(immediate.failures.map(\.name) == ["crm"])
            }
        let rethrowing = BackgroundRunner(mode: .immediate(rethrow: true), logger: logger)
        try await app(router, rethrowing)
            .test(setup) { client in
                try await client.expect(.internalServerError, from: "/it")
            }
        let manual = BackgroundRunner(mode: .manual, logger: logger)
        try await app(router, manual)
            .test(setup) { client in
                _ = try await client.execute(uri: "/it", method: .get)
                #expect(manual.pending == ["welcome", "crm"])
                #expect(await manual.runPending() == 2)
            }
        let discarding = BackgroundRunner(mode: .discard, logger: logger)
        try await app(router, discarding)
            .test(setup) { client in
                _ = try await client.execute(uri: "/it", method: .get)
                #expect(discarding.finished.allSatisfy { !$0.outcome.isSuccess })
            }
    }

    @Test("Without a runner around it the work is done all the same, and an error says what is missing")
    func noRunner() async throws {
        let done = Gate()
        let router = Router()
        router.get("it") { _, context -> String in
            context.background.add { done.open() }
            return ""
        }
        try await Application(router: router, logger: logger)
            .test(.live) { client in
                _ = try await client.execute(uri: "/it", method: .get)
                await done.wait()
            }
    }
}
