// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Metrics

/// Every metric of jobs. Handles are made once for each queue, name and outcome and kept, bound to the factory
/// that was current when the client or worker was made.
final class ErrandMetrics: Sendable {
    private struct Key: Hashable {
        var label: String
        var name: JobName
        var queue: QueueName
        var outcome: String
    }

    /// What every attempt is measured with: found by one look, not by one for each metric.
    private struct Line {
        let wait: Metrics.Timer
        var endings: [String: (count: Counter, duration: Metrics.Timer)] = [:]
    }

    private struct LineKey: Hashable {
        var name: JobName
        var queue: QueueName
    }

    private struct Handles {
        var lines: [LineKey: Line] = [:]
        var counters: [Key: Counter] = [:]
        var timers: [Key: Metrics.Timer] = [:]
        var gauges: [Key: Gauge] = [:]
        var names: Set<JobName> = []
    }

    /// More job names than this share the name `other`, so that data cannot grow the metrics system.
    private static let nameLimit = 200

    private let factory: any MetricsFactory
    private let handles = BusyMutex(Handles())

    init(factory: any MetricsFactory = MetricsSystem.factory) {
        self.factory = factory
    }

    /// Jobs of one write come in runs of the same kind: a run is counted at once.
    func enqueued(_ jobs: some Sequence<(NewJob, EnqueueResult.Kind)>) {
        var run: (job: NewJob, kind: EnqueueResult.Kind, count: Int)?
        func count(_ run: (job: NewJob, kind: EnqueueResult.Kind, count: Int)) {
            counter("errand_jobs_enqueued", run.job.name, run.job.queue, String(describing: run.kind))
                .increment(by: Int64(run.count))
        }
        for (job, kind) in jobs {
            if let last = run, last.kind == kind, last.job.name == job.name, last.job.queue == job.queue {
                run?.count += 1
            } else {
                if let run { count(run) }
                run = (job, kind, 1)
            }
        }
        if let run { count(run) }
    }

    func started(_ record: JobRecord, after wait: Duration) {
        let timer = handles.withLock { line(of: record, in: &$0).wait }
        timer.recordNanoseconds(nanoseconds(wait))
    }

    func ended(_ record: JobRecord, _ outcome: String, after run: Duration) {
        let (count, duration) = handles.withLock { ending(outcome, of: record, in: &$0) }
        count.increment()
        duration.recordNanoseconds(nanoseconds(run))
    }

    func leaseLost(_ record: JobRecord) {
        counter("errand_leases_lost", record.name, record.queue, "lost").increment()
    }

    func abandoned(_ record: JobRecord) {
        counter("errand_attempts_abandoned", record.name, record.queue, "abandoned").increment()
    }

    func zombies(_ count: Int) {
        gauge("errand_zombies", "all", "all", "").record(Int64(count))
    }

    func claimed(in duration: Duration) {
        timer("errand_claim_duration", "all", "all", "ok").recordNanoseconds(nanoseconds(duration))
    }

    func beat(age: Duration) {
        gauge("errand_beat_age_seconds", "all", "all", "").record(age.inSeconds)
    }

    /// Levels that all processes share are read from the store, never added up and down here.
    func depth(_ counts: JobCounts, queues: [QueueName]) {
        for queue in queues {
            for state in JobState.allCases where !state.isFinal {
                let count = counts.count(state, queue: queue)
                gauge("errand_queue_depth", "all", queue, state.word).record(Int64(count))
            }
            let age = counts.oldestReady[queue].map { max(counts.at - $0, .zero) } ?? .zero
            gauge("errand_queue_oldest_ready_seconds", "all", queue, "").record(age.inSeconds)
        }
    }

    private func line(of record: JobRecord, in handles: inout Handles) -> Line {
        let key = LineKey(name: record.name, queue: record.queue)
        if let line = handles.lines[key] { return line }
        let dimensions = dimensions(of: record, "started", &handles)
        let line = Line(wait: Metrics.Timer(label: "errand_job_wait", dimensions: dimensions, factory: factory))
        handles.lines[key] = line
        return line
    }

    private func ending(
        _ outcome: String,
        of record: JobRecord,
        in handles: inout Handles
    ) -> (count: Counter, duration: Metrics.Timer) {
        var line = line(of: record, in: &handles)
        if let ending = line.endings[outcome] { return ending }
        let dimensions = dimensions(of: record, outcome, &handles)
        let ending = (
            Counter(label: "errand_attempts", dimensions: dimensions, factory: factory),
            Metrics.Timer(label: "errand_attempt_duration", dimensions: dimensions, factory: factory)
        )
        line.endings[outcome] = ending
        handles.lines[LineKey(name: record.name, queue: record.queue)] = line
        return ending
    }

    private func dimensions(of record: JobRecord, _ outcome: String, _ handles: inout Handles) -> [(String, String)] {
        dimensions(Key(label: "", name: bounded(record.name, &handles), queue: record.queue, outcome: outcome))
    }

    private func counter(_ label: String, _ name: JobName, _ queue: QueueName, _ outcome: String) -> Counter {
        handles.withLock { handles in
            let key = Key(label: label, name: bounded(name, &handles), queue: queue, outcome: outcome)
            if let counter = handles.counters[key] { return counter }
            let counter = Counter(label: label, dimensions: dimensions(key), factory: factory)
            handles.counters[key] = counter
            return counter
        }
    }

    private func timer(_ label: String, _ name: JobName, _ queue: QueueName, _ outcome: String) -> Metrics.Timer {
        handles.withLock { handles in
            let key = Key(label: label, name: bounded(name, &handles), queue: queue, outcome: outcome)
            if let timer = handles.timers[key] { return timer }
            let timer = Metrics.Timer(label: label, dimensions: dimensions(key), factory: factory)
            handles.timers[key] = timer
            return timer
        }
    }

    private func gauge(_ label: String, _ name: JobName, _ queue: QueueName, _ outcome: String) -> Gauge {
        handles.withLock { handles in
            let key = Key(label: label, name: name, queue: queue, outcome: outcome)
            if let gauge = handles.gauges[key] { return gauge }
            let gauge = Gauge(label: label, dimensions: dimensions(key), factory: factory)
            handles.gauges[key] = gauge
            return gauge
        }
    }

    private func bounded(_ name: JobName, _ handles: inout Handles) -> JobName {
        if handles.names.contains(name) { return name }
        guard handles.names.count < Self.nameLimit else { return "other" }
        handles.names.insert(name)
        return name
    }

    private func dimensions(_ key: Key) -> [(String, String)] {
        var dimensions = [("queue", key.queue.rawValue), ("name", key.name.rawValue)]
        if !key.outcome.isEmpty { dimensions.append(("outcome", key.outcome)) }
        return dimensions
    }

    private func nanoseconds(_ duration: Duration) -> Int64 {
        duration.wholeMicroseconds.multipliedReportingOverflow(by: 1000).partialValue
    }
}

extension Outcome {
    /// The bounded word for logs and metrics.
    var word: String {
        switch self {
        case .succeeded: "succeeded"
        case .retry(_, _, let timedOut): timedOut ? "timedOut" : "retried"
        case .failed(let reason, _, _): reason.rawValue
        case .snoozed: "snoozed"
        case .released: "released"
        case .cancelled: "cancelled"
        case .abandoned: "abandoned"
        case .undecodable: "undecodable"
        }
    }
}
