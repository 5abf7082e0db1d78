// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Testing

@Suite("The count of a drill of schedules")
struct ScheduleDrillReportTests {
    /// One schedule over three seconds, each with its decision and its job.
    fileprivate struct Script {
        var record: ScheduleRecord
        var rows: [TickRecord]
        var jobs: [JobRecord]

        init() {
            let begin = Timestamp(microseconds: 1_700_000_000_500_000)
            let definition = ScheduleRecord.Definition(trigger: .cron("* * * * * *"), job: nil)
            record = ScheduleRecord(id: "one", source: .dynamic, definition: definition, hash: "", at: begin)
            record.cursor = begin + .seconds(3)
            (rows, jobs) = ([], [])
            for second in 1...3 { add(Timestamp(microseconds: 1_700_000_000_000_000) + .seconds(second)) }
        }

        mutating func add(_ nominal: Timestamp, id: JobID? = nil) {
            let decided = nominal + .milliseconds(10)
            let tick = Tick(
                schedule: record.id,
                key: .tick(nominal),
                nominal: nominal,
                kind: .regular,
                decidedAt: decided
            )
            let made = NewJob(id: id ?? tick.jobID, name: "chore", payload: Payload(bytes: []))
            let job = JobRecord(made, at: decided)
            rows.append(
                TickRecord(
                    schedule: record.id,
                    key: tick.key,
                    nominal: nominal,
                    kind: .regular,
                    decision: .enqueued,
                    job: job.id,
                    decidedAt: decided,
                    decidedBy: "me",
                    revision: 1
                )
            )
            jobs.append(job)
            jobs[jobs.count - 1].headers[Tick.header] = tick.headerValue
        }

        func report() -> ScheduleDrillReport {
            var report = ScheduleDrillReport(store: "none", drill: ScheduleDrill(mode: .calm))
            report.count(rows, of: record, through: record.cursor)
            report.count(jobs)
            report.close()
            return report
        }
    }

    /// One way to break it, and what is found.
    struct Break: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let words: String
        fileprivate let apply: @Sendable (inout Script) -> Void

        fileprivate init(_ name: String, _ words: String, _ apply: @escaping @Sendable (inout Script) -> Void) {
            (testDescription, self.words, self.apply) = (name, words, apply)
        }
    }

    static let breaks: [Break] = [
        Break("a tick has no decision", "found 2, duplicates 0, misses 1, jobs without a decision 1") {
            $0.rows.remove(at: 1)
        },
        Break("the job of a decision is gone", "found 2, duplicates 0, misses 1") { $0.jobs.remove(at: 1) },
        Break("nobody decides any more", "expected 5, found 3, duplicates 0, misses 2") {
            $0.record.cursor = $0.record.cursor + .seconds(2)
        },
        Break("a tick has two jobs", "duplicates 1, misses 0, jobs without a decision 1") { script in
            let nominal = script.rows[0].nominal
            script.add(nominal, id: JobID(high: 1, low: 2))
            script.rows.removeLast()
        },
        Break("a tick has two decisions", "duplicates 2, misses 0") { $0.rows.append($0.rows[0]) },
        Break("a tick is skipped", "found 3, duplicates 0, misses 0, without a job 1") { script in
            (script.rows[2].decision, script.rows[2].job) = (.skippedOverlap, nil)
            script.jobs.remove(at: 2)
        },
        Break("a decision has another key", "found 2, duplicates 0, misses 1, jobs without a decision 1, other keys 1")
        {
            $0.rows[0].key = .trigger("x")
        },
        Break("a tick before the schedule was made", "other keys 1") { script in
            script.add(script.rows[0].nominal - .seconds(1))
        },
        Break("a tick is decided before its time", "decisions on the future 1") { script in
            script.rows[2].decidedAt = script.rows[2].nominal - .milliseconds(1)
        },
        Break("a job is for later", "jobs for the future 1") { $0.jobs[2].runAt = $0.jobs[2].runAt + .hours(1) },
        Break("a job of nobody's", "jobs of no tick 1") { $0.jobs[0].headers = [:] },
    ]

    @Test("finds what is broken", arguments: breaks)
    func broken(_ example: Break) {
        var script = Script()
        example.apply(&script)
        let report = script.report()
        #expect(!report.isClean)
        #expect("\(report)".contains(example.words), "\(report)")
    }

    @Test("finds nothing in a run that is well")
    func well() {
        let report = Script().report()
        #expect(report.isClean, "\(report)")
        #expect((report.expected, report.found) == (3, 3))
        #expect(report.latest == .milliseconds(10))
    }
}
