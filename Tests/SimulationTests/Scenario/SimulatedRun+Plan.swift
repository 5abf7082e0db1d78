// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization

extension SimulatedRun {
    /// Puts everything the plan says on the calendar.
    func schedule() {
        startFront()
        for member in plan.workers { start(member, knowsAll: !member.isOld) }
        for job in plan.jobs { at(job.at) { $0.enqueue(job) } }
        for operation in plan.operations { at(operation.at) { $0.operate(operation) } }
        for fault in plan.faults { at(fault.at) { $0.begin(fault.kind) } }
        at(plan.length) { $0.heal() }
    }

    func at(_ time: Duration, _ action: @escaping @Sendable (SimulatedRun) -> Void) {
        _ = world.schedule(after: time - simulator.uptime) { [weak self] in
            if let self, !state.withLock({ $0.isOver }) { action(self) }
        }
    }

    private func after(_ wait: Duration, _ action: @escaping @Sendable (SimulatedRun) -> Void) {
        _ = world.schedule(after: wait) { [weak self] in
            if let self, !state.withLock({ $0.isOver }) { action(self) }
        }
    }

    // MARK: Clients

    /// Runs a client's call in its process, or at the front when that is not there.
    private func call(from number: Int, _ body: @escaping @Sendable (JobClient, Int) async throws -> Void) {
        let found = state.withLock { state in
            let living = state.living[number] ?? state.living[SimulationPlan.front]
            if let living { state.pending[ObjectIdentifier(living.process), default: 0] += 1 }
            return living
        }
        guard let found else { return }
        let (process, client) = (found.process, found.client)
        Task(executorPreference: process.lane("client")) {
            try? await body(client, process.number)
            self.state.withLock { $0.pending[ObjectIdentifier(process)]? -= 1 }
        }
    }

    func enqueue(_ job: JobPlan) {
        call(from: job.process) { [history] client, process in
            let options = EnqueueOptions(
                id: job.id,
                queue: job.queue,
                priority: JobPriority(job.priority),
                start: job.start > .zero ? .after(job.start) : .now,
                startWithin: job.startWithin.map { .within($0) },
                deadline: job.deadline.map { .within($0) },
                timeout: .within(job.timeout),
                retry: .attempts(job.attempts, backoff: .fixed(job.backoff, jitter: 0.25)),
                unique: job.unique
            )
            let id: JobID
            if job.isNew {
                id = try await client.enqueue(Novelty(number: job.number), options: options).id
            } else {
                id = try await client.enqueue(Chore(number: job.number), options: options).id
            }
            history.record(.acknowledged(requested: job.id, job: id), in: process)
        }
    }

    func operate(_ operation: OperationPlan) {
        // Whoever does not know whether an operation happened repeats it under its key.
        let key = "\(operation.at)"
        call(from: operation.process) { [history] client, process in
            switch operation.action {
            case .cancel(let job): try await client.surely(.cancel, on: job, key: key)
            case .retry(let job): try await client.surely(.retry(spread: .zero), on: job, key: key)
            case .hold(let job, let time): try await client.surely(.hold(lasting: time), on: job, key: key)
            case .release(let job): try await client.surely(.release, on: job, key: key)
            case .delete(let job): try await client.surely(.delete, on: job, key: key)
            case .edit(let job, let priority, let wait):
                let start: NewJob.Start = wait > .zero ? .after(wait) : .now
                let edit = JobEdit(queue: "side", priority: JobPriority(priority), start: start)
                try await client.surely(.edit(edit), on: job, key: key)
            case .await(let job):
                let handle = JobHandle<Chore>(id: JobPlan.id(job), client: client)
                let record = try await handle.finished(timeout: .seconds(60))
                history.record(.awaited(record.id, record.state), in: process)
            case .pause(let scope, let lasting): try await client.pause(scope, lasting: lasting, reason: "plan")
            case .resume(let scope): try await client.resume(scope, reason: "plan")
            }
        }
    }

    // MARK: Faults

    private func begin(_ fault: FaultPlan.Kind) {
        switch fault {
        case .call(let process, let kind): network.plan(kind, for: process)
        case .outage(let time):
            say("outage \(time)")
            network.setOutage(true)
            after(time) { $0.network.setOutage(false) }
        case .cut(let process, let time):
            say("cut \(process) \(time)")
            network.setCut(true, process)
            after(time) { $0.network.setCut(false, process) }
        case .dropSignals(let time):
            network.setDropsSignals(true)
            after(time) { $0.network.setDropsSignals(false) }
        case .crash(let number, let wait):
            guard let living = state.withLock({ $0.living[number] }) else { return }
            crash(living.process)
            after(wait) { $0.restart(number) }
        case .pause(let number, let time):
            guard let living = state.withLock({ $0.living[number] }), !living.process.isStopped else { return }
            say("pause \(number) \(time)")
            living.process.pause()
            after(time) { _ in living.process.resume() }
        case .clockStep(let step):
            say("clock-step \(step)")
            simulator.stepWallClock(by: step)
        case .deploy(let number):
            deploy(number)
        }
    }

    private func say(_ words: String) { history.record(.fault(words), in: 0) }

    /// Starts a process again that died.
    private func restart(_ number: Int) {
        guard state.withLock({ $0.living[number] == nil }) else { return }
        guard let member = plan.workers.first(where: { $0.number == number }) else { return }
        start(member, knowsAll: !member.isOld || state.withLock { $0.isHealed })
    }

    /// Stops a worker in good order and starts its process with code that knows every name.
    private func deploy(_ number: Int) {
        guard let living = state.withLock({ $0.living[number] }), let worker = living.worker else { return }
        guard let member = plan.workers.first(where: { $0.number == number }) else { return }
        say("deploy \(number)")
        worker.stopClaiming()
        Task(executorPreference: world.lane("deploy")) {
            await living.main?.value
            let isNext = self.state.withLock { state in
                guard !state.isOver, state.living[number]?.process === living.process else { return false }
                state.living[number] = nil
                return true
            }
            if isNext { self.start(member, knowsAll: true) }
        }
    }

    /// Ends everything that goes wrong and everything that operators left behind.
    private func heal() {
        network.heal()
        network.setDropsSignals(false)
        state.withLock { $0.isHealed = true }
        history.record(.healed, in: 0)
        for member in plan.workers {
            if let living = state.withLock({ $0.living[member.number] }) {
                living.process.resume()
                if member.isOld { deploy(member.number) }
            } else {
                restart(member.number)
            }
        }
        tidy()
    }

    /// Releases what is held, ends pauses and restarts what killed itself, until nothing is left to do or to come.
    private func tidy() {
        for member in plan.workers { restart(member.number) }
        call(from: SimulationPlan.front) { client, _ in
            try await client.operate(.release, matching: JobFilter(isHeld: true), reason: "healed")
            for pause in try await client.pauses() { try await client.resume(pause.scope, reason: "healed") }
        }
        after(.seconds(10)) { run in
            if !run.isQuiet || run.simulator.uptime < run.plan.length + Self.aftermath { run.tidy() }
        }
    }
}

extension JobClient {
    /// Carries an operation out, again if its answer was lost.
    fileprivate func surely(_ action: Operation.Action, on job: Int, key: String) async throws {
        for _ in 0..<3 {
            do {
                try await operate(action, on: [JobPlan.id(job)], reason: "plan", idempotencyKey: key)
                return
            } catch let error as StoreError where error.isTransient {
                continue
            }
        }
    }
}
