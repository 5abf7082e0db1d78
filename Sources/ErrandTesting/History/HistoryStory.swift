// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// The part of a history that shows a violation: what touches its job, and what was made to go wrong meanwhile.
package struct HistoryStory: CustomStringConvertible {
    private let violation: HistoryViolation
    private let events: [HistoryEvent]
    private let limit: Int

    /// - Parameter limit: The most lines; the latest are kept.
    package init(_ violation: HistoryViolation, of events: [HistoryEvent], limit: Int = 30) {
        self.violation = violation
        self.events = events
        self.limit = limit
    }

    package var description: String {
        let end = min(violation.event + 1, events.count)
        var requests: [Int: StoreRequest] = [:]
        var lines: [String] = []
        for (index, event) in events[..<end].enumerated() {
            if case .invoked(let call, let request) = event.what { requests[call] = request }
            guard let words = words(for: event, requests) else { continue }
            lines.append("  \(index) \(event.uptime.inSeconds) s, process \(event.process): \(words)".prefixed(160))
        }
        let left = lines.suffix(limit)
        let more = lines.count - left.count
        let head = "\(violation.id): \(violation.message)" + (violation.job.map { " (job \($0))" } ?? "")
        return ([head] + (more > 0 ? ["  … \(more) earlier"] : []) + left).joined(separator: "\n")
    }

    private func words(for event: HistoryEvent, _ requests: [Int: StoreRequest]) -> String? {
        switch event.what {
        case .fault(let words): words.hasPrefix("dropped") || words.hasPrefix("outage-") ? nil : "fault \(words)"
        case .crashed: nil
        case .healed: "all is healed"
        case .stopping: "told to stop"
        case .stopped: "stopped"
        case .acknowledged(let requested, let job):
            job == violation.job || requested == violation.job ? "enqueue of \(requested) acknowledged" : nil
        case .awaited(let job, let state): job == violation.job ? "its end is told: \(state.word)" : nil
        case .started(let lease, _): lease.job == violation.job ? "handler starts under \(lease.epoch)" : nil
        case .ended(let lease, let how): lease.job == violation.job ? "handler \(how), under \(lease.epoch)" : nil
        case .changed(let call, let before, let after):
            (before ?? after)?.id == violation.job ? "call \(call): \(row(before)) → \(row(after))" : nil
        case .invoked(let call, let request): mentions(request).map { "call \(call) begins: \($0)" }
        case .effect(let call, let reply):
            requests[call].flatMap(mentions).map { "call \(call) took effect: \($0)\(answer(reply))" }
        case .answered(let call): requests[call].flatMap(mentions).map { _ in "call \(call) answered" }
        case .failed(let call, let code): requests[call].flatMap(mentions).map { _ in "call \(call) fails: \(code)" }
        }
    }

    private func row(_ record: JobRecord?) -> String {
        guard let record else { return "no row" }
        let holder = record.state == .running ? " by \(record.worker?.description.suffix(4) ?? "?")" : ""
        return "\(record.state.word)\(holder), epoch \(record.epoch), due \(record.runAt.milliseconds % 10_000_000)"
    }

    /// What a call says about the job; `nil` when nothing.
    private func mentions(_ request: StoreRequest) -> String? {
        guard let job = violation.job else { return nil }
        switch request {
        case .insert(let jobs, _): return jobs.contains { $0.id == job } ? "insert" : nil
        case .settle(let settlements):
            return settlements.first { $0.lease.job == job }
                .map { "settle epoch \($0.lease.epoch) of \($0.lease.worker.description.suffix(4)), \($0.outcome)" }
        case .beat(let beat):
            return beat.held.first { $0.job == job }
                .map { "beat of \(beat.worker.description.suffix(4)) lists epoch \($0.epoch)" }
        case .note(let notes):
            return notes.first { $0.lease.job == job }.map { "note under epoch \($0.lease.epoch)" }
        case .operate(let operation):
            guard case .ids(let ids) = operation.selection, ids.contains(job) else { return nil }
            return "\(operation.action)"
        case .controls(let changes): return "\(changes)"
        case .schedules(let changes):
            return changes.first { $0.entries.contains { $0.job?.id == job } }.map { "tick of schedule \($0.id)" }
        case .register, .retire, .claim, .maintain, .read: return nil
        }
    }

    private func answer(_ reply: StoreReply) -> String {
        switch reply {
        case .insert(let answers):
            ", \(answers.count == 1 ? "\(answers[0])" : "\(answers.count) answers")".prefixed(100)
        case .settle(let answers): ", \(answers)".prefixed(100)
        case .beat(let answer): answer.lost.isEmpty ? "" : ", \(answer.lost.count) lost"
        case .note(let answers): ", \(answers)"
        case .operate(let report): ", \(report.changed.count) changed"
        case .claim, .maintain, .schedules, .done: ""
        }
    }
}

extension String {
    fileprivate func prefixed(_ count: Int) -> String { String(prefix(count)) }
}
