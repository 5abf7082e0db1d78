// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandPostgres

/// Jobs that are stored and run without a pause while a transaction of somebody else keeps its snapshot: PostgreSQL must not
/// clean up behind them, and the cost of a job must not grow all the same.
struct SnapshotFigures {
    let scale: Scale

    /// What is measured at the start and at the end, of all the time.
    private static let part = 0.1

    func measure() async throws -> [Figure] {
        guard scale.setups.contains(.postgres) else { return [] }
        let seconds = scale.isQuick ? min(scale.snapshotSeconds, 10) : scale.snapshotSeconds
        let (start, end) = try await Scratch.with(.postgres, on: scale.servers) { scratch in
            try await scratch.withStore { store in
                try await JobClient(store: store).fill(1000)
                let reader = try await PostgresConnection.connect(scratch.target.address)
                let rates = try await reader.transaction { transaction in
                    try await transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    try await transaction.execute("SELECT count(*) FROM \"\(scratch.target.space)\".jobs")
                    return try await load(store, for: Double(seconds))
                }
                await reader.close()
                return rates
            }
        }
        let name = "enqueue and drain, a snapshot open for \(seconds) s"
        return [
            Figure("\(name), at the start, postgres powerLoss", start, "jobs/s"),
            Figure("\(name), at the end, postgres powerLoss", end, "jobs/s", limit: start),
        ]
    }

    /// Handled jobs per second of each second of the first and the last part.
    private func load(_ store: any JobStore, for seconds: Double) async throws -> (start: [Double], end: [Double]) {
        let clock = SystemClock.shared
        let tally = Tally(goal: .max)
        let client = JobClient(store: store)
        let (rates, enqueued) = try await Worker.measured(store, tally.handlers)
            .runs {
                var (enqueued, rates): (Int, [Double]) = (0, [])
                let start = clock.uptime
                var (second, handled) = (start, 0)
                while (clock.uptime - start).inSeconds < seconds {
                    try await client.enqueue(contentsOf: (enqueued..<enqueued + 1000).map(NoOp.init))
                    enqueued += 1000
                    while enqueued + 1000 - tally.handled > 10_000 { try await clock.sleep(for: .milliseconds(2)) }
                    let elapsed = (clock.uptime - second).inSeconds
                    guard elapsed >= 1 else { continue }
                    rates.append(Double(tally.handled - handled) / elapsed)
                    (second, handled) = (clock.uptime, tally.handled)
                }
                // Those that were there before are run, too.
                while tally.handled < enqueued + 1000 { try await clock.sleep(for: .milliseconds(5)) }
                return (rates, enqueued + 1000)
            }
        guard tally.handled == enqueued else { throw VoidFigure("\(tally.handled) of \(enqueued) handlers ran") }
        let length = max(Int(Double(rates.count) * Self.part), 1)
        // The first second is that of starting.
        return (Array(rates.dropFirst().prefix(length)), Array(rates.suffix(length)))
    }
}
