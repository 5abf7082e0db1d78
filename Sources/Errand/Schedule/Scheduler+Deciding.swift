// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import Synchronization

extension Scheduler {
    /// Decides everything that is due, and says how long to wait.
    package func round() async -> Duration {
        do {
            let wait = try await decideAll()
            if state.withLock({ state in
                defer { state.isStoreLost = false }
                return state.isStoreLost
            }) {
                logger.notice("scheduling goes on")
            }
            return wait
        } catch {
            storeFailed(error)
            return configuration.pollInterval
        }
    }

    func storeFailed(_ error: any Error) {
        let isNew = state.withLock { state in
            defer { state.isStoreLost = true }
            return !state.isStoreLost
        }
        if isNew { logger.warning("scheduling is delayed", metadata: [LogKeys.error: "\(error)"]) }
    }

    private func decideAll() async throws -> Duration {
        var tally = RoundTally()
        let looks = state.withLock { state in
            defer { state.looks = [] }
            return state.looks
        }
        if !looks.isEmpty {
            let answer = try await store.schedules(.ids(looks.sorted()))
            if case .believed = look(at: answer.at) {
                try await decide(answer.schedules.filter { $0.record.state == .active }, at: answer.at, &tally)
            }
        }
        var mark: ScheduleMark?
        while !Task.isCancelled {
            let limit = configuration.batchLimit
            let answer = try await store.schedules(.due(limit: limit, after: mark))
            if case .jumped(_, let wait, _) = look(at: answer.at) { return min(wait, configuration.idlePollInterval) }
            if mark == nil, let first = answer.schedules.first?.record.dueAt { tally.lag = answer.at - first }
            try await decide(answer.schedules, at: answer.at, &tally)
            guard answer.schedules.count == limit, let last = answer.schedules.last?.record else {
                return wait(after: answer, tally)
            }
            mark = ScheduleMark(dueAt: last.dueAt ?? .distantFuture, id: last.id)
        }
        return .zero
    }

    private func wait(after answer: ScheduleAnswer, _ tally: RoundTally) -> Duration {
        metrics.round(lag: tally.lag, broken: tally.broken)
        let (spread, isBusy) = state.withLock { state in
            if tally.stale > tally.stored {
                state.spread = min(max(state.spread * 2, .milliseconds(5)), .milliseconds(200))
            } else if tally.stored > 0 {
                state.spread = state.spread / 2
            }
            if tally.stored > 0 { state.isBusy = tally.isBusy }
            return (state.spread.wholeMicroseconds, state.isBusy)
        }
        let pause = Duration.microseconds(spread < 1 ? 0 : chance.draw { Int64.random(in: 0...spread, using: &$0) })
        if tally.isCutShort { return pause }
        let longest = isBusy ? configuration.pollInterval : configuration.idlePollInterval
        let next = [answer.nextDue, tally.next].compactMap { $0 }.min()
        return min(next.map { max($0 - answer.at, .zero) + pause } ?? longest, longest)
    }

    private func look(at store: Timestamp) -> ClockWatch.Verdict {
        let skew = clock.now - store
        metrics.skew(skew)
        let isSkewed = skew > .seconds(2) || skew < .seconds(-2)
        let (verdict, wasSkewed) = state.withLock { state in
            defer { state.isSkewed = isSkewed }
            return (state.watch.look(store, at: clock.uptime), state.isSkewed)
        }
        if isSkewed, !wasSkewed {
            logger.warning(
                "this host's clock is not the store's; the store's decides what is due",
                metadata: [LogKeys.duration: "\(skew)"]
            )
        }
        if case .jumped(let gain, let wait, let isNew) = verdict, isNew {
            logger.error(
                "the store's clock jumped ahead; nothing is decided until it is believed",
                metadata: [LogKeys.duration: "\(gain)", LogKeys.since: "\(wait)"]
            )
            events.publish(.clockJumped(gain))
        }
        return verdict
    }

    /// Decides schedules of one look, and writes what was decided.
    private func decide(_ standings: [ScheduleStanding], at now: Timestamp, _ tally: inout RoundTally) async throws {
        var plans: [TickPlan] = []
        for standing in standings {
            if let plan = try await plan(standing, at: now, &tally) { plans.append(plan) }
        }
        guard !plans.isEmpty else { return }
        let answers = try await store.changeSchedules(plans.map(\.change))
        for (plan, answer) in zip(plans, answers) {
            guard case .stored(let rows) = answer else {
                tally.stale += 1
                continue
            }
            tally.saw(plan, at: now)
            tell(plan, rows.compactMap { $0 })
            await stop(plan.cancels, of: plan.change.id)
        }
    }

    private func plan(
        _ standing: ScheduleStanding,
        at now: Timestamp,
        _ tally: inout RoundTally
    ) async throws -> TickPlan? {
        var record = standing.record
        guard let build = builder(for: record) else {
            leave(record)
            return nil
        }
        do {
            let rule = try rules.rule(of: record.trigger, for: record.id)
            let known = try await known(record, rule: rule, at: now)
            var planner = TickPlanner(standing, rule: rule, at: now, by: decider, known: known, build: build)
            return try planner.plan()
        } catch let error as StoreError {
            throw error
        } catch {
            tally.broken += 1
            let isNew = record.state != .broken
            record.fail("\(error)", at: now)
            if isNew { tellBroken(record) }
            let change = ScheduleChange(id: record.id, expected: standing.record.version, record: record)
            return TickPlan(change: change)
        }
    }

    /// The decisions that a planner must know.
    func known(_ record: ScheduleRecord, rule: ScheduleRule, at now: Timestamp) async throws -> KnownTicks {
        var rows: [TickRecord] = []
        if let span = record.spanToKnow(at: now) {
            rows = try await store.ticks(TickRequest(record.id, .span(span, after: nil), limit: SchedulePolicy.most))
        }
        let keys = TickPlanner.backfillKeys(of: record, rule: rule)
        if !keys.isEmpty {
            rows += try await store.ticks(TickRequest(record.id, .keys(keys), limit: TickPlanner.backfillStep))
        }
        return KnownTicks(rows)
    }

    /// What makes the jobs of a schedule; `nil` when only another process can.
    func builder(for record: ScheduleRecord) -> ((Tick) throws -> NewJob?)? {
        if let job = record.definition.job { return { _ in job } }
        guard record.source == .code else { return nil }
        return set?.definitions[record.id]?.build
    }
}

/// What one round came to.
private struct RoundTally {
    var stored = 0
    var stale = 0
    var broken = 0
    var lag: Duration = .zero
    var next: Timestamp?
    var isBusy = false
    var isCutShort = false

    mutating func saw(_ plan: TickPlan, at now: Timestamp) {
        stored += 1
        isCutShort = isCutShort || plan.isCutShort
        guard let record = plan.change.record else { return }
        if let due = record.dueAt { next = min(next ?? due, due) }
        if let tick = record.next, tick - now < .seconds(15) { isBusy = true }
    }
}
