// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Testing

@Suite("The checker of recorded histories")
struct RecordedHistoryTests {
    /// A history of two processes and one job that failed once, was lost with its worker once, and then succeeded; and
    /// what to change about it.
    fileprivate struct Script {
        var client: [RecordedFact]
        var first: [RecordedFact]
        var second: [RecordedFact]
        var row: JobRecord
        var rows: [JobRecord] = []
        let id: JobID

        init() {
            let id = JobID(high: 1, low: 2)
            self.id = id
            client = [
                RecordedFact(.offered, jobs: [id], at: 10),
                RecordedFact(.acknowledged, jobs: [id], words: ["stored"], since: 11, at: 20),
                RecordedFact(.fault, words: ["kill-worker"], at: 60),
            ]
            first = [
                RecordedFact(.claimed, jobs: [id], epochs: [1], since: 21, at: 30),
                RecordedFact(.started, jobs: [id], epochs: [1], at: 31),
                RecordedFact(.settled, jobs: [id], epochs: [1], words: ["retrying"], since: 35, at: 40),
                RecordedFact(.claimed, jobs: [id], epochs: [2], since: 45, at: 50),
                RecordedFact(.started, jobs: [id], epochs: [2], at: 51),
            ]
            second = [
                RecordedFact(.claimed, jobs: [id], epochs: [4], since: 65, at: 70),
                RecordedFact(.started, jobs: [id], epochs: [4], at: 71),
                RecordedFact(.settled, jobs: [id], epochs: [4], words: ["succeeded"], since: 80, at: 90),
            ]
            row = JobRecord(
                NewJob(id: id, name: "chore", payload: Payload(bytes: []), retry: .attempts(3)),
                at: .epoch
            )
            (row.state, row.epoch, row.attempt, row.failures, row.crashes) = (.succeeded, 4, 3, 1, 1)
            rows = [row]
        }

        func check() -> RecordedHistoryReport { RecordedHistoryChecker.check([client, first, second], rows: rows) }
    }

    /// One way to break the history.
    struct Break: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let promise: String
        fileprivate let apply: @Sendable (inout Script) -> Void

        fileprivate init(_ words: String, _ promise: String, _ apply: @escaping @Sendable (inout Script) -> Void) {
            (testDescription, self.promise, self.apply) = (words, promise, apply)
        }
    }

    static let breaks: [Break] = [
        Break("an acknowledged job is gone", "S1") { $0.rows = [] },
        Break("a job waits for ever, as after a lost wake-up", "S1") { $0.rows[0].state = .ready },
        Break("a row that nobody enqueued", "S2") { $0.client.removeFirst() },
        Break("a job succeeded that never ran", "S2") { script in
            script.first.removeAll { $0.kind == .started }
            script.second.removeAll { $0.kind == .started }
        },
        Break("a row is there twice, as after a retry in two writes", "S3") { $0.rows += $0.rows },
        Break("two attempts end the job: a settle without a fence", "S3") { script in
            script.first.append(
                RecordedFact(.settled, jobs: [script.id], epochs: [2], words: ["succeeded"], since: 60, at: 100)
            )
        },
        Break("one epoch is given to two workers", "S4") { script in
            script.second.append(RecordedFact(.claimed, jobs: [script.id], epochs: [4], since: 1, at: 75))
        },
        Break("a handler begins without a claim", "S4") { $0.second.removeFirst() },
        Break("a write is taken that was stale when it was sent", "S5") { script in
            script.first.append(
                RecordedFact(.settled, jobs: [script.id], epochs: [2], words: ["retrying"], since: 75, at: 78)
            )
        },
        Break("more failures than are allowed", "S7") { $0.rows[0].failures = 4 },
        Break("a run without a cause: the crash was not counted", "S8") { $0.rows[0].crashes = 0 },
        Break("a handler begins twice under one epoch", "S8") { script in
            script.second.append(RecordedFact(.started, jobs: [script.id], epochs: [4], at: 72))
        },
        Break("an acknowledged end is not the one that is stored", "S22") { $0.rows[0].state = .failed },
    ]

    @Test("finds what is broken", arguments: breaks)
    func broken(_ example: Break) {
        var script = Script()
        example.apply(&script)
        let report = script.check()
        #expect(report.broken[example.promise] ?? 0 > 0, "\(report)")
    }

    @Test("finds nothing in a history that is well, and counts what was in it")
    func well() {
        var script = Script()
        // The first worker was frozen and wrote late; it was refused.
        script.first.append(
            RecordedFact(.settled, jobs: [script.id], epochs: [2], words: ["leaseLost"], since: 75, at: 78)
        )
        let report = script.check()
        #expect(report.isClean, "\(report)")
        #expect((report.acknowledged, report.rows, report.starts) == (1, 1, 3))
        #expect((report.staleRefused, report.duplicates, report.unexplained) == (1, 2, 0))
        #expect(report.faults == ["kill-worker": 1])
    }

    @Test("a repeat of a write that held is not a stale one")
    func repeated() {
        var script = Script()
        script.second.append(
            RecordedFact(.settled, jobs: [script.id], epochs: [4], words: ["leaseLost"], since: 91, at: 95)
        )
        let report = script.check()
        #expect(report.isClean)
        #expect(report.staleRefused == 0)
    }

    @Test("reads what processes wrote, but not a line that one did not finish")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "errand-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "facts.jsonl").path
        let recorder = try FactRecorder(path: path)
        recorder.fault("one")
        recorder.started(JobID(high: 1, low: 2), epoch: 3)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(#"{"kind":"sta"#.utf8))
        let facts = try RecordedFact.read(path)
        #expect(facts.map(\.kind) == [.fault, .started])
        #expect(facts.last?.epochs == [3])
        #expect(facts.allSatisfy { $0.at > 0 })
    }
}
