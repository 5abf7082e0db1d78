// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let historyCases: [Case] = [
        Case("a success at the first try leaves no attempt, a later one does") { bench in
            let worker = try await bench.worker()
            let first = try await bench.run(on: worker)
            try await bench.ends(first.lease, .success, as: .succeeded)
            bench.equal(try await bench.record(first.record.id).attempts, [], "attempts of the first")
            let second = try await bench.run(on: worker)
            try await bench.ends(second.lease, .again(after: .zero), as: .ready)
            try await bench.ends(try await bench.take(worker).lease, .success, as: .succeeded)
            let endings = try await bench.record(second.record.id).attempts.map(\.ending)
            bench.equal(endings, [.failed, .succeeded], "endings of the second")
        },
        Case("the newest fifty attempts are kept, oldest first") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job { $0.retry = .attempts(1000) })
            for _ in 1...60 {
                try await bench.ends(try await bench.take(worker).lease, .again(after: .zero), as: .ready)
            }
            let attempts = try await bench.record(id).attempts
            bench.equal(attempts.map(\.number), Array(11...60), "the kept attempts")
        },
        Case("an attempt has its times, its worker, its run and its error") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            let start = bench.now
            bench.clock.advance(by: .seconds(9))
            try await bench.ends(claimed.lease, .retry(after: .zero, error: .sample, timedOut: true), as: .ready)
            let attempt = Attempt(
                run: 1,
                number: 1,
                epoch: claimed.lease.epoch,
                worker: worker,
                startedAt: start,
                endedAt: bench.now,
                ending: .timedOut,
                error: .sample
            )
            bench.equal(try await bench.record(claimed.record.id).attempts, [attempt], "the attempts")
        },
        Case("progress is that of the last note, clamped, and goes with the attempt") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            for fraction in [0.25, 7, -1, .nan, 0.5] {
                let note = LeaseNote(lease: claimed.lease, progress: (fraction, "page"))
                bench.equal(try await bench.store.note([note]), [true], "the note")
                let wanted = JobProgress(fraction: fraction, message: "page", at: bench.now)
                bench.equal(try await bench.record(claimed.record.id).progress, wanted, "the progress")
            }
            bench.equal(try await bench.store.note([LeaseNote(lease: claimed.lease)]), [true], "an empty note")
            bench.equal(try await bench.record(claimed.record.id).progress?.fraction, 0.5, "the kept progress")
            try await bench.ends(claimed.lease, .again(after: .zero), as: .ready)
            bench.equal(try await bench.record(claimed.record.id).progress, nil, "the progress after the attempt")
        },
        Case("the newest two hundred log lines of all attempts are kept") { bench in
            let worker = try await bench.worker()
            var claimed = try await bench.run(on: worker)
            func line(_ number: Int) -> LogLine { LogLine(at: bench.now, level: "info", message: "\(number)") }
            for start in stride(from: 0, to: 300, by: 25) {
                let note = LeaseNote(lease: claimed.lease, lines: (start..<(start + 25)).map(line))
                bench.equal(try await bench.store.note([note]), [true], "the note")
                if start == 150 {
                    try await bench.ends(claimed.lease, .again(after: .zero), as: .ready)
                    claimed = try await bench.take(worker)
                }
            }
            bench.equal(try await bench.record(claimed.record.id).log, (100..<300).map(line), "the log")
            let flood = LeaseNote(lease: claimed.lease, lines: (0..<1000).map(line))
            _ = try await bench.store.note([flood])
            bench.equal(try await bench.record(claimed.record.id).log, (800..<1000).map(line), "the log after a flood")
        },
        Case("checkpoints are kept over failures, crashes and releases, and dropped at the end") { bench in
            var worker = try await bench.worker()
            var claimed = try await bench.run(on: worker)
            let id = claimed.record.id
            var wanted: [String: Payload] = [:]
            for (index, outcome) in [Outcome.again(after: .zero), .released, .snoozed(.zero)].enumerated() {
                wanted["step \(index)"] = .text("\(index)")
                wanted["last"] = .text("\(index)")
                let values: [String: Payload] = ["step \(index)": .text("\(index)"), "last": .text("\(index)")]
                bench.equal(
                    try await bench.store.note([LeaseNote(lease: claimed.lease, checkpoints: values)]),
                    [true],
                    "the note"
                )
                try await bench.ends(claimed.lease, outcome, as: .ready)
                bench.equal(try await bench.record(id).checkpoints, wanted, "the checkpoints after \(outcome)")
                claimed = try await bench.take(worker)
            }
            bench.clock.advance(by: .minutes(1))
            worker = try await bench.worker()
            _ = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.equal(try await bench.record(id).checkpoints, wanted, "the checkpoints after a rescue")
            try await bench.ends(try await bench.take(worker).lease, .failure, as: .failed)
            bench.equal(try await bench.record(id).checkpoints, [:], "the checkpoints at the end")
            try await bench.operate(.retry(spread: .zero), id)
            bench.equal(try await bench.record(id).checkpoints, [:], "the checkpoints of a new run")
        },
        Case("notes of one call are answered in order and each on its own") { bench in
            let worker = try await bench.worker()
            let (one, two) = (try await bench.run(on: worker), try await bench.run(on: worker))
            try await bench.ends(one.lease, .success, as: .succeeded)
            let notes = [two.lease, one.lease, two.lease].map { LeaseNote(lease: $0, progress: (0.1, "")) }
            bench.equal(try await bench.store.note(notes), [true, false, true], "the answers")
        },
    ]

    static let resultCases: [Case] = [
        Case("a result is kept for its time after the end, and then swept") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(bench.job { $0.resultTTL = .minutes(10) }, on: worker)
            bench.clock.advance(by: .minutes(30))
            try await bench.ends(claimed.lease, .succeeded(result: .text("42")), as: .succeeded)
            let id = claimed.record.id
            bench.equal(try await bench.record(id).result, .text("42"), "the result")
            bench.equal(try await bench.record(id, [.payload]).result, nil, "the result that was not asked for")
            bench.clock.advance(by: .minutes(10) - .microseconds(1))
            bench.equal(try await bench.store.maintain(.sweep).affected, 0, "swept early")
            bench.equal(try await bench.record(id).result, .text("42"), "the result at the end of its time")
            bench.clock.advance(by: .microseconds(1))
            bench.equal(try await bench.record(id).result, nil, "the result after its time")
            bench.equal(try await bench.store.maintain(.sweep).affected, 1, "swept results")
            bench.equal(try await bench.state(id), .succeeded, "the job")
        },
        Case("no result is stored for a job that returns none or keeps none") { bench in
            let worker = try await bench.worker()
            let none = try await bench.run(on: worker)
            try await bench.ends(none.lease, .succeeded(result: nil), as: .succeeded)
            bench.equal(try await bench.record(none.record.id).result, nil, "the result")
            let zero = try await bench.run(bench.job { $0.resultTTL = .zero }, on: worker)
            try await bench.ends(zero.lease, .succeeded(result: .text("x")), as: .succeeded)
            bench.equal(try await bench.record(zero.record.id).result, nil, "the result with no time")
        },
        Case("an empty result is a result") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            let empty = Payload(bytes: [], format: .init(rawValue: "raw"), version: 3)
            try await bench.ends(claimed.lease, .succeeded(result: empty), as: .succeeded)
            bench.equal(try await bench.record(claimed.record.id).result, empty, "the result")
        },
        Case("a new run drops the old result and keeps its own") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.ends(claimed.lease, .succeeded(result: .text("old")), as: .succeeded)
            try await bench.operate(.retry(spread: .zero), claimed.record.id)
            bench.equal(try await bench.record(claimed.record.id).result, nil, "the result of the new run")
            try await bench.ends(try await bench.take(worker).lease, .succeeded(result: .text("new")), as: .succeeded)
            bench.equal(try await bench.record(claimed.record.id).result, .text("new"), "the result")
        },
    ]
}
