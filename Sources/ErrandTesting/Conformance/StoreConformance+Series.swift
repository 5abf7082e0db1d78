// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let seriesCases: [Case] = [
        Case("everything that happens to a job is counted in its minute") { bench in
            let start = bench.now
            let worker = try await bench.worker()
            let first = try await bench.put(bench.job { $0.retry = .attempts(2) })
            bench.clock.advance(by: .seconds(3))
            try await bench.ends(try await bench.take(worker).lease, .again(after: .zero), as: .ready)
            let second = try await bench.take(worker)
            bench.equal(second.record.id, first, "the second attempt")
            bench.clock.advance(by: .seconds(60))
            try await bench.ends(second.lease, .again(after: .zero), as: .failed)
            let points = try await bench.points(from: start)
            let wanted: [String: Int] = [
                "0 enqueued 0": 1, "0 started 0": 2, "0 wait 12": 1, "0 wait 0": 1, "0 failedAttempts 0": 1,
                "0 run 0": 1, "1 failedAttempts 0": 1, "1 failed 0": 1, "1 run 16": 1,
            ]
            bench.expect(points == wanted, "\(points) should be \(wanted)")
        },
        Case("ends of every kind are counted") { bench in
            let start = bench.now
            let worker = try await bench.worker()
            for (outcome, _) in outcomes {
                let claimed = try await bench.run(on: worker)
                _ = try await bench.settle(claimed.lease, outcome)
                try await bench.operate(.cancel, claimed.record.id)
            }
            try await bench.put(bench.job { $0.startWithin = .seconds(1) })
            bench.clock.advance(by: .seconds(1))
            _ = try await bench.store.maintain(.expire)
            let lost = try await bench.run(bench.job { $0.crashesAllowed = 0 }, on: worker)
            _ = try await bench.store.maintain(.rescue(silence: .zero))
            bench.equal(try await bench.state(lost.record.id), .failed, "the crashed job")
            let sums = try await bench.sums(from: start)
            bench.equal(sums[.enqueued], outcomes.count + 2, "enqueued")
            bench.equal(sums[.started], outcomes.count + 1, "started")
            bench.equal(sums[.wait], outcomes.count + 1, "waits")
            bench.equal(sums[.run], outcomes.count, "runs")
            bench.equal(sums[.succeeded], 2, "succeeded")
            bench.equal(sums[.failedAttempts], 5, "failed attempts")
            bench.equal(sums[.failed], 4, "failed")
            bench.equal(sums[.cancelled], 8, "cancelled")
            bench.equal(sums[.released], 1, "released")
            bench.equal(sums[.expired], 1, "expired")
            bench.equal(sums[.crashed], 1, "crashed")
        },
        Case("duplicates and repeats are not counted as enqueued, offers are counted as started") { bench in
            let start = bench.now
            let worker = try await bench.worker()
            let job = bench.job(unique: UniqueRule(key: "k"))
            let offer = ClaimOffer(worker: worker, names: StoreBench.names, slots: [.default: 1])
            _ = try await bench.store.insert([job], offer: offer)
            _ = try await bench.store.insert([job], offer: nil)
            _ = try await bench.store.insert([bench.job(unique: UniqueRule(key: "k"))], offer: nil)
            _ = try await bench.store.insert([bench.job("")], offer: nil)
            let sums = try await bench.sums(from: start)
            bench.equal(sums, [.enqueued: 1, .started: 1, .wait: 1], "the sums")
        },
        Case("points are asked for by time, queue, name and metric, and come by minute") { bench in
            let start = bench.now
            for (name, queue) in [("mail", "x"), ("call", "x"), ("mail", "y")] as [(JobName, QueueName)] {
                for _ in 0..<2 {
                    try await bench.put(bench.job(name, queue: queue))
                    bench.clock.advance(by: .minutes(1))
                }
            }
            let end = bench.now
            bench.equal(
                try await bench.minutes(start, .init(from: start, before: end)),
                [0, 1, 2, 3, 4, 5],
                "all minutes"
            )
            bench.equal(
                try await bench.minutes(start, .init(from: start, before: end, queue: "x")),
                [0, 1, 2, 3],
                "minutes of x"
            )
            bench.equal(
                try await bench.minutes(start, .init(from: start, before: end, name: "mail")),
                [0, 1, 4, 5],
                "of mail"
            )
            let part = SeriesRequest(from: start + .minutes(1), before: start + .minutes(3))
            bench.equal(try await bench.minutes(start, part), [1, 2], "some minutes")
            let started = SeriesRequest(from: start, before: end, metrics: [.started])
            bench.equal(try await bench.minutes(start, started), [], "another metric")
            bench.equal(
                try await bench.minutes(start, .init(from: end, before: start)),
                [],
                "a time that runs backwards"
            )
        },
        Case("counters are swept after their time, not before") { bench in
            let start = bench.now
            try await bench.put(bench.job())
            bench.clock.advance(by: SeriesPoint.kept - .minutes(1))
            _ = try await bench.store.maintain(.sweep)
            bench.equal(try await bench.sums(from: start), [.enqueued: 1], "the sums in time")
            bench.clock.advance(by: .minutes(3))
            bench.expect(try await bench.store.maintain(.sweep).affected > 0, "nothing was swept")
            bench.equal(try await bench.sums(from: start), [:], "the sums after their time")
        },
    ]
}

extension StoreBench {
    /// Values by minute since `start`, metric and bucket.
    func points(from start: Timestamp) async throws -> [String: Int] {
        let points = try await store.series(SeriesRequest(from: start, before: now + .minutes(1)))
        return Dictionary(points.map { ("\($0.minute - start.minute) \($0.metric) \($0.bucket)", $0.value) }) {
            $0 + $1
        }
    }

    func minutes(_ start: Timestamp, _ request: SeriesRequest) async throws -> [Int64] {
        try await store.series(request).map { $0.minute - start.minute }
    }

    func sums(from start: Timestamp) async throws -> [SeriesMetric: Int] {
        let points = try await store.series(SeriesRequest(from: start, before: now + .minutes(1)))
        return points.reduce(into: [:]) { $0[$1.metric, default: 0] += $1.value }
    }
}
