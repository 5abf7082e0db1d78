// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

extension StarvationDrill {
    /// The shared pool spins while two jobs run on and a third ignores its cancellation.
    func starveSharedPool(_ worker: Worker, _ client: JobClient, _ facts: inout StarvationFacts) async throws {
        let threads = StarvedThreads(isPolite: plan.isPolite)
        let steady = Steady(milliseconds: Int(plan.length.inSeconds * 1100))
        let jobs = try await client.enqueue(contentsOf: [steady, steady])
        let stubbornJob = try await client.enqueue(Stubborn())
        try await until("the jobs run") { worker.health.running == 3 && stubborn.held == 1 }

        try await threads.start(clock)
        let (began, beats) = (clock.uptime, beatLog())
        if !plan.beatsNeedSharedPool { try await abandon(stubbornJob, worker, client, &facts) }
        let left = began + plan.length - clock.uptime
        if left > .zero { try await clock.sleep(for: left) }
        (facts.beats, facts.longestSilence) = { ($0.beats, $0.longestSilence.inSeconds) }(beats.stop())
        facts.seconds = (clock.uptime - began).inSeconds
        for job in jobs where try await job.record().progress != nil { facts.progressWritten += 1 }
        (facts.starvedThreads, facts.turns, facts.waiting) = (threads.threads, threads.turns, threads.waiting)
        threads.stop()
        stubborn.open()

        for job in jobs {
            facts.jobs.append(.init(try await job.finished(timeout: plan.length * 3)))
        }
        facts.stubbornLater = .init(try await stubbornJob.finished(timeout: plan.length * 3))
    }

    /// Cancels the stubborn job, looks at its slot while its handler goes on, and lets the handler end.
    private func abandon(
        _ job: JobHandle<Stubborn>,
        _ worker: Worker,
        _ client: JobClient,
        _ facts: inout StarvationFacts
    ) async throws {
        let next = try await client.enqueue(Next())
        // Long enough for the watchdog to see that the thread is held.
        try await clock.sleep(for: plan.lease / 2)
        let cancelledAt = clock.uptime
        try await job.cancel(reason: "enough")
        let end = try await next.finished(timeout: plan.length * 3)
        facts.jobs.append(.init(end))
        facts.slotFreedAfter = ((events.seen.started[next.id] ?? .zero) - cancelledAt).inSeconds
        (facts.zombies, facts.zombieGauge) = (worker.health.zombies, zombieGauge)
        // Its end is stored beside that of the next one, not before it.
        try await job.finished(timeout: plan.length * 3)
        facts.stubborn = .init(try await job.record(parts: .result))
        stubborn.open()
        try await until("the handler ended") { worker.health.zombies == 0 }
        (facts.zombiesLater, facts.zombieGaugeLater) = (worker.health.zombies, zombieGauge)
    }
}
