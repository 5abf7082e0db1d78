// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand

/// A promise that a history breaks, by its name in the list of invariants.
package struct HistoryViolation: Sendable {
    /// `S1` to `S23` for safety, `L1` to `L9` for progress.
    package let id: String
    /// What is wrong, in one sentence.
    package let message: String
    /// Whose history shows it.
    package let job: JobID?
    /// The number of the event at which it shows.
    package let event: Int
}

/// What is stored when everything is over.
package struct HistoryEnding: Sendable {
    /// Every row.
    package var rows: [JobRecord]
    /// The kept counts; `nil` when they could not be read.
    package var counts: JobCounts?
    /// The counters per minute.
    package var series: [SeriesPoint]
    /// Whether everything had time to become final.
    package var isQuiet: Bool

    package init(rows: [JobRecord], counts: JobCounts?, series: [SeriesPoint], isQuiet: Bool) {
        self.rows = rows
        self.counts = counts
        self.series = series
        self.isQuiet = isQuiet
    }
}
