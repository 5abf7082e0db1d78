// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

extension HistoryChecker {
    /// What can be said only when everything is over.
    mutating func finish(_ ending: HistoryEnding, at uptime: Duration, _ index: Int) {
        for process in stopping.keys.sorted() {
            blame("L6", "the worker of process \(process) did not stop", nil, index)
        }
        compareRows(ending, index)
        if ending.isQuiet == false {
            for (id, track) in jobs.sorted(by: { $0.key < $1.key }) {
                guard let record = track.record, !record.state.isFinal else { continue }
                if let worker = record.worker, record.state == .running, workers[worker]?.crashedAt != nil {
                    blame("L2", "a job is still with a dead worker", id, index)
                } else {
                    blame("L1", "a job is still \(record.state.word)", id, index)
                }
            }
        }
        guard violations.isEmpty else { return }
        compareCounts(ending, index)
    }

    private mutating func compareRows(_ ending: HistoryEnding, _ index: Int) {
        var left = jobs.filter { $0.value.record != nil }
        for row in ending.rows {
            guard let track = left.removeValue(forKey: row.id) else {
                blame("S2", "a row is there that no change has put there", row.id, index)
                continue
            }
            if track.record?.state != row.state || track.record?.epoch != row.epoch {
                blame("S1", "a row is not what its last change made of it", row.id, index)
            }
        }
        for id in left.keys.sorted() { blame("S1", "an acknowledged job is gone", id, index) }
    }

    /// Counts and counters are those of the rows and of the changes (S20).
    private mutating func compareCounts(_ ending: HistoryEnding, _ index: Int) {
        guard let counts = ending.counts else { return }
        var exact: [JobState: Int] = [:]
        for row in ending.rows { exact[row.state, default: 0] += 1 }
        for state in JobState.allCases where counts.count(state) != exact[state] ?? 0 {
            let found = "\(counts.count(state)) \(state.word)"
            blame("S20", "the store counts \(found) jobs and holds \(exact[state] ?? 0)", nil, index)
        }
        for metric in [SeriesMetric.enqueued, .started, .succeeded, .failed, .cancelled, .expired, .crashed] {
            let sum = ending.series.reduce(0) { $1.metric == metric ? $0 + $1.value : $0 }
            guard sum != tally[metric] ?? 0 else { continue }
            blame("S20", "the series has \(sum) \(metric), the history \(tally[metric] ?? 0)", nil, index)
        }
    }
}
