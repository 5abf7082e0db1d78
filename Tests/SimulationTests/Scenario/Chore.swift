// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization

/// The work of a simulation; the plan says what the handler of each number does.
struct Chore: Job {
    static let name: JobName = "chore"
    let number: Int
}

/// The same under a name that old code does not know.
struct Novelty: Job {
    static let name: JobName = "novelty"
    let number: Int
}

/// What handlers do in one process, as the plan has it.
struct ChoreHandlers: Sendable {
    struct Failure: Error {}

    let run: SimulatedRun
    let process: SimulatedProcess
    let client: JobClient

    func handlers(knowsAll: Bool) -> JobHandlers {
        var handlers = JobHandlers()
        handlers.add(Chore.self) { chore, context in try await perform(chore.number, context) }
        if knowsAll { handlers.add(Novelty.self) { chore, context in try await perform(chore.number, context) } }
        return handlers
    }

    private func perform(_ number: Int, _ context: JobContext) async throws {
        guard let worker = context.record.worker else { return }
        let lease = Lease(job: context.id, worker: worker, epoch: context.epoch)
        let act = run.act(of: number)
        run.history.record(.started(lease, payload: context.record.payload.digest), in: process.number)
        do {
            try await perform(act, context)
            run.history.record(.ended(lease, "returned"), in: process.number)
        } catch {
            run.history.record(.ended(lease, "threw \(type(of: error))"), in: process.number)
            throw error
        }
    }

    private func perform(_ act: JobPlan.Act, _ context: JobContext) async throws {
        switch act {
        case .succeed(let time): try await process.sleep(for: time)
        case .fail(let time):
            try await process.sleep(for: time)
            throw Failure()
        case .failForGood: throw JobControl.fail(reason: "as planned")
        case .snooze(let time): throw JobControl.snooze(for: time)
        case .retry(let time): throw JobControl.retry(after: time)
        case .cancelItself: throw JobControl.cancel(reason: "as planned")
        case .talk(let time):
            context.progress(0.5, "half")
            context.log("on the way")
            _ = try await context.step("first") { 1 }
            try await process.sleep(for: time)
        case .hang(let time): try await process.sleep(for: time)
        case .ignoreCancellation(let time): await run.outlast(time, on: process)
        case .killProcess(let time):
            try await process.sleep(for: time)
            run.crash(process)
            // Nothing of the process runs any more, this included, until the simulation is taken apart.
            try await process.sleep(for: .zero)
        case .enqueue(let child):
            try await client.enqueue(
                Chore(number: child),
                options: EnqueueOptions(id: JobPlan.id(child), retry: .attempts(2, backoff: .none))
            )
            run.history.record(
                .acknowledged(requested: JobPlan.id(child), job: JobPlan.id(child)),
                in: process.number
            )
        }
    }
}
