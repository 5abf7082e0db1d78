// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

extension StarvationDrill {
    /// Handlers that block hold all threads of the worker, and one more job waits for a thread.
    func starveHandlers(_ worker: Worker, _ client: JobClient, _ facts: inout StarvationFacts) async throws {
        let holding = try await client.enqueue(contentsOf: [Blocking(), Blocking()])
        try await until("all threads are held") { blocking.held == 2 }
        let waiting = try await client.enqueue(Steady(milliseconds: 1))
        try await until("the third job has a slot") { worker.health.running == 3 }
        let (began, beats) = (clock.uptime, beatLog())
        try await clock.sleep(for: plan.length)
        (facts.beats, facts.longestSilence) = { ($0.beats, $0.longestSilence.inSeconds) }(beats.stop())
        facts.seconds = (clock.uptime - began).inSeconds
        (facts.starvedThreads, facts.waiting) = (blocking.held, 1)
        facts.turns = try await waiting.record().state == .running ? 0 : 1
        blocking.open()
        for job in holding {
            facts.jobs.append(.init(try await job.finished(timeout: plan.length * 3)))
        }
        facts.jobs.append(.init(try await waiting.finished(timeout: plan.length * 3)))
    }
}
