// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Errand
import Foundation

/// Runs a very large number of jobs through one process and watches its memory.
struct Soak: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Shows whether memory stays flat over millions of jobs.")

    @Option(help: "How many jobs.")
    var jobs = 10_000_000

    @Option(help: "How much larger the process may be at the end than after a tenth of the jobs, in MB.")
    var mayGrow = 10.0

    mutating func validate() throws {
        guard jobs >= 100_000 else { throw ValidationError("--jobs is \(jobs); at least 100000 show something") }
    }

    func run() async throws {
        try await Scratch.with(.powerLoss, on: Servers()) { scratch in
            try await scratch.withStore { try await soak($0) }
        }
    }

    private func soak(_ store: any JobStore) async throws {
        let tally = Tally(goal: jobs)
        var configuration = WorkerConfiguration()
        // Finished jobs go as fast as new ones come, so that the file has a size to settle at, too.
        configuration.retention = RetentionPolicy(maximum: 10_000, bite: 5000)
        configuration.maintenanceInterval = .seconds(1)
        let worker = Worker(store: store, handlers: tally.handlers, configuration: configuration)
        let client = JobClient(store: store)
        var samples: [Double] = []
        let seconds = try await worker.runs {
            try await time {
                var enqueued = 0
                while enqueued < jobs {
                    try await client.enqueue(contentsOf: (enqueued..<enqueued + 1000).map(NoOp.init))
                    enqueued += 1000
                    while enqueued - tally.handled > 20_000 {
                        try await SystemClock.shared.sleep(for: .milliseconds(2))
                    }
                    if enqueued % (jobs / 20) < 1000, enqueued >= jobs / 20 * (samples.count + 1) {
                        samples.append(Double(Usage.residentBytes) / 1e6)
                        print("\(enqueued) jobs, \(Self.megabytes(samples.last ?? 0)) resident")
                    }
                }
                _ = await tally.wait()
            }
        }
        try report(samples, tally, seconds)
    }

    private func report(_ samples: [Double], _ tally: Tally, _ seconds: Double) throws {
        guard samples.count >= 3 else { throw VoidFigure("too few samples of the memory were taken") }
        let (start, middle, end) = (samples[1], samples[samples.count / 2], samples[samples.count - 1])
        print(
            "soak: \(tally.handled) jobs in \(Int(seconds)) s; resident memory at the start \(Self.megabytes(start)), "
                + "in the middle \(Self.megabytes(middle)), at the end \(Self.megabytes(end))"
        )
        guard tally.handled == jobs else { throw VoidFigure("\(tally.handled) of \(jobs) handlers ran") }
        guard end - start <= mayGrow else { throw VoidFigure("the process grew by \(Self.megabytes(end - start))") }
    }

    private static func megabytes(_ value: Double) -> String { "\((value * 10).rounded() / 10) MB" }
}
