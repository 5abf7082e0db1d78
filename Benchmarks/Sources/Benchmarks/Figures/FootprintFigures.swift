// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite

/// What a worker costs while there is nothing to do, and what queued jobs cost while they wait.
struct FootprintFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        var idle: [(cpu: Double, queries: Double, memory: Double)] = []
        var (inFile, inMemory): ([Double], [Double]) = ([], [])
        let count = scale.jobs(100_000)
        for _ in 0..<scale.runs {
            idle.append(try await idleWorker())
            let scratch = try Scratch(.powerLoss)
            defer { scratch.remove() }
            inFile.append(try await queued(["memory-child", "\(count)", "--file", scratch.file]))
            inMemory.append(try await queued(["memory-child", "\(count)"]))
        }
        return [
            Figure("idle worker, processor", idle.map(\.cpu), "%"),
            Figure("idle worker, calls of the store", idle.map(\.queries), "1/s"),
            Figure("idle worker, resident memory", idle.map { $0.memory / 1e6 }, "MB"),
            Figure("memory of 100,000 queued jobs, SQLite", inFile.map { $0 * 100_000 / Double(count) / 1e6 }, "MB"),
            Figure("memory of 100,000 queued jobs, memory", inMemory.map { $0 * 100_000 / Double(count) / 1e6 }, "MB"),
        ]
    }

    private func idleWorker() async throws -> (cpu: Double, queries: Double, memory: Double) {
        let scratch = try Scratch(.powerLoss)
        defer { scratch.remove() }
        return try await ChildProcess.run(["idle-child", scratch.file, scale.isQuick ? "2" : "10"]) { child in
            let words = [try await child.line("cpu"), try await child.line("queries"), try await child.line("memory")]
            let numbers = words.compactMap(Double.init)
            guard numbers.count == 3 else { throw VoidFigure("the idle worker said \(words)") }
            return (numbers[0], numbers[1], numbers[2])
        }
    }

    private func queued(_ arguments: [String]) async throws -> Double {
        try await ChildProcess.run(arguments) { Double(try await $0.number("queued")) }
    }
}
