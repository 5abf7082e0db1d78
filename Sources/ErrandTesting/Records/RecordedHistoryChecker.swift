// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand

/// Compares what several processes wrote down with what is stored when everything is over, and says which promises
/// were broken. Knows nothing of the store but what it answered and what it holds.
///
/// It is for runs in which nobody retries, cancels or deletes jobs by hand and nothing is pruned. The names of the
/// promises are those of ``HistoryChecker``.
package struct RecordedHistoryChecker {
    /// What is known of one job.
    private struct Story {
        var isOffered = false
        var isAcknowledged = false
        /// When each epoch's claim was answered, and how often it was given.
        var claims: [Int64: (at: Int64, count: Int)] = [:]
        /// How often a handler began under each epoch.
        var starts: [Int64: Int] = [:]
        var ends: [(epoch: Int64, word: String, since: Int64)] = []
        var refused: [Int64] = []
    }

    private var stories: [JobID: Story] = [:]
    private var report = RecordedHistoryReport()

    /// Checks the facts of all processes, each in its own order, against every row that is left.
    package static func check(_ processes: [[RecordedFact]], rows: [JobRecord]) -> RecordedHistoryReport {
        var checker = RecordedHistoryChecker()
        for fact in processes.joined() { checker.read(fact) }
        checker.compare(with: rows)
        return checker.report
    }

    private mutating func read(_ fact: RecordedFact) {
        func epoch(_ index: Int) -> Int64 { fact.epochs.indices.contains(index) ? fact.epochs[index] : 0 }
        func word(_ index: Int) -> String { fact.words.indices.contains(index) ? fact.words[index] : "" }
        if fact.kind == .fault { report.faults[word(0), default: 0] += 1 }
        for (index, job) in fact.jobs.enumerated() {
            var story = stories[job] ?? Story()
            switch fact.kind {
            case .offered: story.isOffered = true
            case .acknowledged: if word(index) != "refused" { story.isAcknowledged = true }
            case .claimed:
                let known = story.claims[epoch(index)]
                story.claims[epoch(index)] = (min(known?.at ?? .max, fact.at), (known?.count ?? 0) + 1)
            case .started:
                report.starts += 1
                story.starts[epoch(index), default: 0] += 1
            case .settled where word(index) == "leaseLost": story.refused.append(epoch(index))
            case .settled where word(index) == "refused": break
            case .settled: story.ends.append((epoch(index), word(index), fact.since))
            case .fault: break
            }
            stories[job] = story
        }
    }

    private mutating func compare(with rows: [JobRecord]) {
        var byID: [JobID: JobRecord] = [:]
        for row in rows {
            if byID.updateValue(row, forKey: row.id) != nil { blame("S3", "is stored twice", row.id) }
            if stories[row.id]?.isOffered != true { blame("S2", "is stored and nobody enqueued it", row.id) }
        }
        report.rows = rows.count
        for (id, story) in stories.sorted(by: { $0.key < $1.key }) {
            if story.isAcknowledged { report.acknowledged += 1 }
            guard let row = byID[id] else {
                if story.isAcknowledged {
                    report.lost += 1
                    blame("S1", "was acknowledged and is gone", id)
                }
                continue
            }
            if !row.state.isFinal {
                report.lost += 1
                blame("S1", "is \(row.state.word) although everything had time to end", id)
            }
            checkEnds(of: row, story)
            checkLeases(of: row, story)
            checkStarts(of: row, story)
        }
    }

    private mutating func checkEnds(of row: JobRecord, _ story: Story) {
        let finals = story.ends.filter { JobState(word: $0.word)?.isFinal == true }
        if finals.count > 1 {
            report.doubleFinal += 1
            blame("S3", "ended \(finals.count) times: under epochs \(finals.map(\.epoch))", row.id)
        }
        if let end = finals.first, finals.count == 1, end.word != row.state.word {
            blame("S22", "was acknowledged as \(end.word) and is \(row.state.word)", row.id)
        }
    }

    private mutating func checkLeases(of row: JobRecord, _ story: Story) {
        for (epoch, claim) in story.claims where claim.count > 1 {
            blame("S4", "was given to \(claim.count) workers under epoch \(epoch)", row.id)
        }
        let newest = max(story.claims.keys.max() ?? 0, row.epoch)
        for epoch in story.refused where epoch < newest { report.staleRefused += 1 }
        for end in story.ends {
            // The other claim was answered before this write set out: it was stale when it was sent.
            guard let later = story.claims.first(where: { $0.key > end.epoch && $0.value.at < end.since }) else {
                continue
            }
            report.staleApplied += 1
            blame("S5", "took a write of epoch \(end.epoch) after epoch \(later.key) was given", row.id)
        }
    }

    private mutating func checkStarts(of row: JobRecord, _ story: Story) {
        for (epoch, count) in story.starts {
            if count > 1 { blame("S8", "began \(count) times under epoch \(epoch)", row.id) }
            if story.claims[epoch] == nil { blame("S4", "began under epoch \(epoch), which no claim gave", row.id) }
        }
        if row.state == .succeeded, story.starts.isEmpty {
            blame("S2", "succeeded and no handler ever began", row.id)
        }
        let surplus = story.starts.count - 1
        if surplus > 0 { report.duplicates += surplus }
        let causes = row.failures + row.crashes + row.releases + row.snoozes
        if surplus > causes {
            report.unexplained += surplus - causes
            blame("S8", "began \(surplus + 1) times, and \(causes) causes are recorded", row.id)
        }
        if row.failures > row.retry.maxAttempts {
            blame("S7", "failed \(row.failures) times of \(row.retry.maxAttempts)", row.id)
        }
    }

    private mutating func blame(_ promise: String, _ words: String, _ job: JobID) {
        report.broken[promise, default: 0] += 1
        if report.examples.count < 20 { report.examples.append("\(promise): job \(job) \(words)") }
    }
}

/// What the check of a recorded history found.
package struct RecordedHistoryReport: Sendable, CustomStringConvertible {
    /// Jobs whose enqueue was acknowledged.
    package var acknowledged = 0
    package var rows = 0
    /// What was made to go wrong, by name.
    package var faults: [String: Int] = [:]
    /// Times a handler began.
    package var starts = 0
    /// Acknowledged jobs that are gone or did not end.
    package var lost = 0
    package var doubleFinal = 0
    /// Writes under an old lease: those that were refused, as they must be, and those that were taken.
    package var staleRefused = 0
    package var staleApplied = 0
    /// Runs of jobs beyond their first, and those of them without a recorded cause.
    package var duplicates = 0
    package var unexplained = 0
    /// How often each promise was broken.
    package var broken: [String: Int] = [:]
    /// The first of them, in words.
    package var examples: [String] = []

    package init() {}

    package var isClean: Bool { broken.isEmpty }

    package var description: String {
        let kinds = faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        return """
            jobs \(acknowledged), rows \(rows), starts \(starts), faults \(faults.values.reduce(0, +)) (\(kinds)), \
            lost \(lost), double-final \(doubleFinal), stale writes refused \(staleRefused), taken \(staleApplied), \
            explained duplicates \(duplicates - unexplained), unexplained duplicates \(unexplained)
            """ + (examples.isEmpty ? "" : "\n" + examples.joined(separator: "\n"))
    }
}
