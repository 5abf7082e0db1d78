// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging

extension Scheduler {
    /// What ``run()`` would change in the store before it decides anything, one line for each schedule: `+` new, `~`
    /// edited, `-` retired. Changes nothing. Empty without a set.
    /// - Throws: ``/ErrandCore/StoreError``.
    public func differences() async throws -> [String] {
        guard let set else { return [] }
        let stored = try await everything().schedules.map(\.record)
        return Reconciliation(declared: set.declared, stored: stored, build: set.build.number).lines
    }

    /// After so many rounds of declaring somebody waits between them.
    private static let patientRounds = 10

    /// Makes the set the store's, however long the store is away.
    /// - Returns: Whether it was; else the task was cancelled.
    /// - Throws: ``ErrandError`` with code `invalidConfiguration` for names that are taken.
    package func declare() async throws -> Bool {
        guard let set else { return true }
        if set.build.number == 0 {
            logger.warning("the build of the schedules is not known: a process of an older release may edit them back")
        }
        for warning in set.check() {
            logger.warning("a schedule may not mean what it says", metadata: [LogKeys.reason: "\(warning)"])
        }
        var rounds = 0
        while !Task.isCancelled {
            do {
                if try await declare(set) { return true }
                rounds += 1
                // Others that declare at the same time are done in a few rounds. What is left then may stay: a schedule
                // that the store cannot read.
                guard rounds >= Self.patientRounds else { continue }
                logger.error(
                    "some schedules cannot be declared; it is tried again",
                    metadata: [LogKeys.count: "\(rounds)"]
                )
            } catch let error as StoreError {
                storeFailed(error)
            }
            await wakeUp.wait(upTo: configuration.pollInterval, on: clock)
        }
        return false
    }

    /// - Returns: Whether nothing is left to change.
    private func declare(_ set: ScheduleSet) async throws -> Bool {
        let answer = try await everything()
        let standings = Dictionary(answer.schedules.map { ($0.record.id, $0) }, uniquingKeysWith: { first, _ in first })
        let declared = Dictionary(set.declared.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let plan = Reconciliation(
            declared: set.declared,
            stored: answer.schedules.map(\.record),
            build: set.build.number
        )
        guard plan.clashes.isEmpty else {
            let names = plan.clashes.prefix(5).map(\.rawValue).joined(separator: ", ")
            throw ErrandError(
                .invalidConfiguration,
                "schedules made at run time have the names \(names); remove them or choose others"
            )
        }
        guard !plan.isEmpty else { return true }
        var changes: [ScheduleChange] = []
        for (id, step) in plan.steps.sorted(by: { $0.key < $1.key }) {
            let standing = standings[id]
            if let change = try await change(step, declared[id], standing, set.build.number, at: answer.at) {
                changes.append(change)
            }
        }
        for start in stride(from: 0, to: changes.count, by: configuration.batchLimit) {
            let batch = changes[start..<min(start + configuration.batchLimit, changes.count)]
            _ = try await store.changeSchedules(Array(batch))
        }
        // Others of the same release do the same at the same time: whatever was stale is seen by looking again.
        return false
    }

    private func change(
        _ step: Reconciliation.Step,
        _ declared: Reconciliation.Declared?,
        _ standing: ScheduleStanding?,
        _ build: Int64,
        at now: Timestamp
    ) async throws -> ScheduleChange? {
        var change: ScheduleChange
        switch (step, declared, standing) {
        case (.insert, let declared?, _):
            let rule = try rules.rule(of: declared.definition.trigger, for: declared.id)
            let record = ScheduleRecord.new(
                id: declared.id,
                source: .code,
                definition: declared.definition,
                hash: declared.hash,
                build: build,
                rule: rule,
                at: now
            )
            change = ScheduleChange(id: declared.id, expected: 0, record: record)
        case (.stamp, _, let standing?):
            var record = standing.record
            record.build = build
            record.version += 1
            change = ScheduleChange(id: record.id, expected: standing.record.version, record: record)
        case (.edit, let declared?, let standing?), (.revive, let declared?, let standing?):
            let rule = try rules.rule(of: standing.record.override ?? declared.definition.trigger, for: declared.id)
            change = try await self.change(standing, at: now) {
                try $0.edit(to: declared.definition, hash: declared.hash, build: build, rule: rule)
            }
        case (.retire, _, let standing?):
            change = try await self.change(standing, at: now) { try $0.retire(build: build) }
        default: return nil
        }
        change.wakesSchedulers = true
        return change
    }

    /// The change that a planner makes; when the old rule cannot be decided any more, that of the edit alone.
    private func change(
        _ standing: ScheduleStanding,
        at now: Timestamp,
        _ edit: (inout TickPlanner) throws -> TickPlan
    ) async throws -> ScheduleChange {
        do {
            var planner = try await planner(standing, at: now)
            return try edit(&planner).change
        } catch let error as StoreError {
            throw error
        } catch {
            logger.error(
                "ticks that were due by a schedule's former definition cannot be decided and are given up",
                metadata: [LogKeys.schedule: "\(standing.record.id)", LogKeys.error: "\(error)"]
            )
            var standing = standing
            standing.record.state = .retired
            var planner = TickPlanner(standing, rule: .never, at: now, by: decider) { _ in nil }
            return try edit(&planner).change
        }
    }

    /// A planner that can decide what is due.
    func planner(_ standing: ScheduleStanding, at now: Timestamp) async throws -> TickPlanner {
        let record = standing.record
        let rule = try rules.rule(of: record.trigger, for: record.id)
        let known = try await known(record, rule: rule, at: now)
        guard let build = builder(for: record) else {
            // Nothing is due, or another program's code must decide it.
            return TickPlanner(standing, rule: rule, at: now, by: decider, known: known) { tick in
                throw ErrandError(
                    .invalidSchedule,
                    "only the program that declares schedule \(tick.schedule) can make its jobs; ask it to do this"
                )
            }
        }
        return TickPlanner(standing, rule: rule, at: now, by: decider, known: known, build: build)
    }

    /// All schedules of the store, whose number is bounded by what people and programs make.
    func everything() async throws -> ScheduleAnswer {
        var all = ScheduleAnswer(at: .epoch, schedules: [])
        while true {
            let page = try await store.schedules(.page(after: all.schedules.last?.record.id, limit: 1000))
            all.schedules += page.schedules
            all.at = page.at
            if page.schedules.count < 1000 { return all }
        }
    }
}
