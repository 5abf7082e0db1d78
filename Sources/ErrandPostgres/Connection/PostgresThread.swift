// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A thread of the operating system as the executor of one connection: libpq may block it.
///
/// The thread comes with the first job and goes when it was told to and nothing is left to do.
final class PostgresThread: SerialExecutor {
    private let name: String
    private let condition = ThreadCondition()
    // guard: `condition`'s lock.
    nonisolated(unsafe) private var jobs: [UnownedJob] = []
    nonisolated(unsafe) private var isRunning = false
    nonisolated(unsafe) private var isEnding = false

    init(name: String) {
        self.name = name
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        condition.lock()
        jobs.append(job)
        let needsThread = !isRunning
        isRunning = true
        condition.unlock()
        if needsThread { start() } else { condition.signal() }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// Lets the thread go as soon as it has nothing to do; a later job brings another one.
    func end() {
        condition.lock()
        isEnding = true
        condition.unlock()
        condition.signal()
    }

    private func start() {
        if OSThread.start(named: name, { [self] in work() }) { return }
        // No thread to be had now (a process limit, usually).
        SystemClock.shared.schedule(after: .milliseconds(50)) { [self] in start() }
    }

    private func work() {
        let executor = asUnownedSerialExecutor()
        condition.lock()
        while true {
            if jobs.isEmpty {
                if isEnding { break }
                condition.wait()
                continue
            }
            let ready = jobs
            jobs.removeAll(keepingCapacity: true)
            condition.unlock()
            for job in ready { job.runSynchronously(on: executor) }
            condition.lock()
        }
        isRunning = false
        condition.unlock()
    }
}
