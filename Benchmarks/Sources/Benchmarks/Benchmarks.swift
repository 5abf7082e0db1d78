// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Measures Errand against the limits of its engines, in one run, and prints a table and a JSON line per figure.
@main
struct Benchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Benchmarks",
        subcommands: [Measure.self, Soak.self, DrainChild.self, IdleChild.self, MemoryChild.self, ServeChild.self],
        defaultSubcommand: Measure.self
    )
}

/// The run that people start; the other commands are the processes that it starts.
struct Measure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Measures everything, or what --only names.")

    @Option(help: "How often each figure is measured; the median counts.")
    var runs = 5

    @Option(
        help: "Only groups whose name contains this: \(FigureGroup.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var only: String?

    @Flag(help: "A tenth of the jobs: to see that it works, not for figures.")
    var quick = false

    mutating func validate() throws {
        guard runs >= 1 else { throw ValidationError("--runs is \(runs); at least 1 is needed") }
        if let only, FigureGroup.allCases.allSatisfy({ !$0.rawValue.contains(only) }) {
            let names = FigureGroup.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("no group is called '\(only)'; there are \(names)")
        }
    }

    func run() async throws {
        let scale = Scale(runs: runs, isQuick: quick)
        var report = Report()
        for group in FigureGroup.allCases where only.map(group.rawValue.contains) ?? true {
            report.say("measuring \(group.rawValue)")
            for figure in try await group.measure(scale) { report.add(figure) }
        }
        report.printAll()
    }
}

/// How much is measured.
struct Scale: Sendable {
    let runs: Int
    let isQuick: Bool

    /// This many jobs, or a tenth.
    func jobs(_ count: Int) -> Int { isQuick ? max(count / 10, 100) : count }
}

/// What is measured together.
enum FigureGroup: String, CaseIterable {
    case enqueue, drain, memory, both, latency, backlog, footprint, requests

    func measure(_ scale: Scale) async throws -> [Figure] {
        switch self {
        case .enqueue: try await EnqueueFigures(scale: scale).measure()
        case .drain: try await DrainFigures(scale: scale).measure()
        case .memory: try await MemoryFigures(scale: scale).measure()
        case .both: try await BothFigures(scale: scale).measure()
        case .latency: try await LatencyFigures(scale: scale).measure()
        case .backlog: try await BacklogFigures(scale: scale).measure()
        case .footprint: try await FootprintFigures(scale: scale).measure()
        case .requests: try await RequestFigures(scale: scale).measure()
        }
    }
}
