// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Hummingbird
import InMemoryLogging
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

@testable import Errand
@testable import ErrandHummingbird

/// An application in a service group, as `runService()` makes it, that is told to stop while it is busy.
@Suite(.timeLimit(.minutes(3))) struct StoppingWithServerTests {
    let logs = InMemoryLogHandler()

    var logger: Logger {
        var logger = Logger(label: "test") { _ in logs }
        logger.logLevel = .debug
        return logger
    }

    @Test("A worker that has stopped early lets requests be answered and tasks finish, and shutdown ends well")
    func idleWorker() async throws {
        let (taskStarted, taskMayEnd) = (Gate(), Gate())
        let (entered, mayAnswer) = (Gate(), Gate())
        let ran = Recorder<String>()
        let router = Router()
        router.get("task") { _, context -> String in
            context.background.add {
                taskStarted.open()
                await taskMayEnd.wait()
                ran.record("slow task")
            }
            return "added"
        }
        router.get("slow") { _, context -> String in
            context.background.add { ran.record("task of the slow request") }
            entered.open()
            await mayAnswer.wait()
            return "answered"
        }
        let runner = BackgroundRunner(logger: logger)
        let worker = Worker(store: MemoryStore(clock: SystemClock.shared), handlers: JobHandlers(), logger: logger)
        let ports = AsyncStream.makeStream(of: Int?.self)
        let app = Application(
            router: router,
            background: runner,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            services: [worker],
            onServerRunning: { ports.continuation.yield($0.localAddress?.port) },
            logger: logger
        )
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [app], logger: logger))
        let serving = Task { try await group.run() }
        let port = try #require(await ports.stream.first { _ in true } ?? nil)
        let first = try RawConnection(port: port)
        try first.get("/task")
        try await first.expectOK(until: "added")
        await taskStarted.wait()
        let second = try RawConnection(port: port)
        try second.get("/slow")
        await entered.wait()

        await group.triggerGracefulShutdown()
        while !logs.entries.contains(where: { $0.message == "the worker stopped" }) { await Task.yield() }
        mayAnswer.open()
        try await second.expectOK(until: "answered")
        while runner.state.withLock({ $0.machine.phase }) == .accepting { await Task.yield() }
        taskMayEnd.open()

        try await serving.value
        #expect(ran.values.sorted() == ["slow task", "task of the slow request"])
        #expect(!logs.entries.contains { $0.message == "background tasks lost at shutdown" })
    }
}
