// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Logging
import Synchronization
import Testing

@testable import Errand

/// Places in the queue that a request reserves: given back whatever becomes of the request.
@Suite(.timeLimit(.minutes(3))) struct ReservingTests {
    let clock = ManualClock()

    func runner(mode: BackgroundRunner.Mode = .live) -> BackgroundRunner {
        var configuration = BackgroundRunnerConfiguration()
        configuration.sharedPoolProbe = nil
        configuration.concurrency = 1
        configuration.queueLimit = 1
        return BackgroundRunner(configuration: configuration, mode: mode, clock: clock)
    }

    func reserved(_ runner: BackgroundRunner) -> Int { runner.state.withLock { $0.machine.reserved } }

    @Test("Places reserved after the response was written take none away from others")
    func afterHandOver() async throws {
        let runner = runner()
        let tasks = BackgroundTasks(runner: runner, logger: Logger(label: "test"))
        tasks.responded(status: 200)
        try await tasks.handOver(.complete)
        for _ in 0..<3 { try tasks.reserve(2) }
        #expect(reserved(runner) == 0)
        let (started, mayEnd) = (Gate(), Gate())
        runner.start("running") {
            started.open()
            await mayEnd.wait()
        }
        let queued = runner.start("queued") {}
        await started.wait()
        // It still says whether there is room.
        #expect(throws: BackgroundError.self) { try tasks.reserve(1) }
        mayEnd.open()
        #expect(await queued.outcome.isSuccess)
    }

    @Test(
        "Places are given back in every mode",
        arguments: [BackgroundRunner.Mode.live, .immediate, .manual, .discard],
        [true, false]
    )
    func modes(mode: BackgroundRunner.Mode, isWritten: Bool) async throws {
        let runner = runner(mode: mode)
        let tasks = BackgroundTasks(runner: runner, logger: Logger(label: "test"))
        try tasks.reserve(2)
        #expect(reserved(runner) == 2)
        if isWritten { try await tasks.handOver(.complete) } else { tasks.handOverNow(.complete) }
        #expect(reserved(runner) == 0)
    }
}
