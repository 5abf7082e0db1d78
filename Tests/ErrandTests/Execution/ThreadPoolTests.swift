// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import ErrandTesting
import Foundation
import Testing

@Suite(.timeLimit(.minutes(3))) struct ThreadPoolTests {
    let clock = ManualClock()

    @Test("One thread runs the work in the order of submission")
    func order() async {
        let pool = ThreadPool(threads: 1, name: "order", clock: clock)
        let (numbers, continuation) = AsyncStream.makeStream(of: Int.self)
        for number in 0..<100 { pool.submit { continuation.yield(number) } }
        pool.submit { continuation.finish() }
        var seen: [Int] = []
        for await number in numbers { seen.append(number) }
        #expect(seen == Array(0..<100))
    }

    @Test("As many pieces of work block at once as there are threads, and the next one waits")
    func width() async {
        let pool = ThreadPool(threads: 3, name: "width", clock: clock)
        let gate = ThreadGate()
        let (entered, continuation) = AsyncStream.makeStream(of: Int.self)
        for number in 0..<4 {
            pool.submit {
                continuation.yield(number)
                gate.wait()
            }
        }
        var iterator = entered.makeAsyncIterator()
        for _ in 0..<3 { _ = await iterator.next() }
        #expect(pool.waiting == 1)
        gate.open()
        #expect(await iterator.next() == 3)
    }

    @Test("Stopping finishes the line, then refuses")
    func stopping() async {
        let pool = ThreadPool(threads: 2, name: "stop", clock: clock)
        let ran = Recorder<Bool>()
        let gate = ThreadGate()
        for _ in 0..<10 {
            pool.submit {
                gate.wait()
                ran.record(true)
            }
        }
        await withCheckedContinuation { continuation in
            pool.stop { continuation.resume() }
            gate.open()
        }
        #expect(ran.values.count == 10)
        #expect(!pool.submit {})
    }

    @Test("A task on a lane runs on the pool's threads, and so do its child tasks")
    func lanes() async {
        let pool = ThreadPool(threads: 1, name: "lane", clock: clock)
        let lane = WorkLane(name: "task", pool: pool)
        let names = await Task(executorPreference: lane) {
            async let child = threadName()
            await Task.yield()
            return [threadName(), await child]
        }
        .value
        #expect(names == ["lane-0", "lane-0"])
    }

    @Test("Patient work begins although the other thread is held, and goes on as soon as it can", arguments: 0..<20)
    func patience(_: Int) async {
        let pool = ThreadPool(threads: 2, name: "patient", clock: clock, nap: .microseconds(200))
        let gate = ThreadGate()
        await hold(pool, with: gate)
        for _ in 0..<10 {
            let tasks = (0..<3)
                .map { number in
                    Task(executorPreference: WorkLane(name: "task", pool: pool, isPatient: true)) {
                        await Task.yield()
                        return number
                    }
                }
            for (number, task) in tasks.enumerated() { #expect(await task.value == number) }
        }
        gate.open()
    }

    @Test("A task whose pool was stopped still ends")
    func stoppedLane() async {
        let pool = ThreadPool(threads: 1, name: "gone", clock: clock)
        let lane = WorkLane(name: "task", pool: pool)
        pool.stop()
        #expect(await Task(executorPreference: lane) { 42 }.value == 42)
    }

    @Test("runBlocking answers with the value or the error, and tells how long the work waited")
    func blocking() async throws {
        struct Oops: Error {}
        let pool = ThreadPool(threads: 1, name: "block", clock: clock)
        #expect(try await pool.runBlocking { 7 } == 7)
        await #expect(throws: Oops.self) { try await pool.runBlocking { throw Oops() } }

        let gate = ThreadGate()
        await hold(pool, with: gate)
        let waited = Recorder<Duration>()
        async let late: Void = pool.runBlocking({}, onStart: { wait in waited.record(wait) })
        while pool.waiting == 0 { await Task.yield() }
        clock.advance(by: .seconds(3))
        gate.open()
        try await late
        #expect(waited.values == [.seconds(3)])
    }

    @Test("Blocking work cancelled in the line does not run; a stopped pool refuses it")
    func cancelledBlocking() async {
        let pool = ThreadPool(threads: 1, name: "cancel", clock: clock)
        let gate = ThreadGate()
        await hold(pool, with: gate)
        let waiting = Task { try await pool.runBlocking { Issue.record("ran") } }
        while pool.waiting == 0 { await Task.yield() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        gate.open()
        pool.stop()
        await #expect(throws: CancellationError.self) { try await pool.runBlocking {} }
    }
}

private func threadName() -> String {
    (try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8))?
        .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
}

/// Blocks a thread of the pool and returns when it is blocked.
private func hold(_ pool: ThreadPool, with gate: ThreadGate) async {
    await withCheckedContinuation { continuation in
        _ = pool.submit {
            continuation.resume()
            gate.wait()
        }
    }
}
