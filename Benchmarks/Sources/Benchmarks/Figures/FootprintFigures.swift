// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// What a worker costs while there is nothing to do, and what queued jobs cost the process that queued them.
struct FootprintFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        var figures: [Figure] = []
        for setup in scale.setups where setup != .processCrash {
            var idle: [(cpu: Double, queries: Double, memory: Double)] = []
            for _ in 0..<scale.runs { idle.append(try await Self.idleWorker(setup, scale)) }
            let name = "idle worker"
            figures += [
                Figure("\(name), processor\(setup.suffix)", idle.map(\.cpu), "%"),
                Figure("\(name), calls of the store\(setup.suffix)", idle.map(\.queries), "1/s"),
                Figure("\(name), resident memory\(setup.suffix)", idle.map { $0.memory / 1e6 }, "MB"),
            ]
        }
        guard scale.setups.contains(.powerLoss) else { return figures }
        var (inFile, inMemory): ([Double], [Double]) = ([], [])
        let count = scale.jobs(100_000)
        for _ in 0..<scale.runs {
            let grown = try await Scratch.with(.powerLoss, on: scale.servers) { scratch in
                try await queued(["memory-child", "\(count)", "--file", scratch.target.address])
            }
            inFile.append(grown)
            inMemory.append(try await queued(["memory-child", "\(count)"]))
        }
        return figures + [
            Figure("memory of 100,000 queued jobs, SQLite", inFile.map { $0 * 100_000 / Double(count) / 1e6 }, "MB"),
            Figure("memory of 100,000 queued jobs, memory", inMemory.map { $0 * 100_000 / Double(count) / 1e6 }, "MB"),
        ]
    }

    /// What a worker costs that has nothing to do on a store with what `prepare` puts there.
    static func idleWorker(
        _ setup: Setup,
        _ scale: Scale,
        prepare: (any JobStore) async throws -> Void = { _ in }
    ) async throws -> (cpu: Double, queries: Double, memory: Double) {
        try await Scratch.with(setup, on: scale.servers) { scratch in
            try await scratch.withStore { try await prepare($0) }
            try await scratch.settle()
            let arguments = ["idle-child"] + scratch.target.words + ["--seconds", scale.isQuick ? "2" : "10"]
            return try await ChildProcess.run(arguments) { child in
                let words = [
                    try await child.line("cpu"), try await child.line("queries"), try await child.line("memory"),
                ]
                let numbers = words.compactMap(Double.init)
                guard numbers.count == 3 else { throw VoidFigure("the idle worker said \(words)") }
                return (numbers[0], numbers[1], numbers[2])
            }
        }
    }

    private func queued(_ arguments: [String]) async throws -> Double {
        try await ChildProcess.run(arguments) { Double(try await $0.number("queued")) }
    }
}
