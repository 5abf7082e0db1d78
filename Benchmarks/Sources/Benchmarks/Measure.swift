// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// The run that people start; the other commands are the processes that it starts.
struct Measure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Measures everything, or what --only and --engine name.")

    @Option(help: "How often each figure is measured; the median counts.")
    var runs = 5

    @Option(
        help: "Only groups whose name contains this: \(FigureGroup.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var only: String?

    @Option(help: "Only figures of this engine: \(Engine.allCases.map(\.rawValue).joined(separator: ", ")).")
    var engine: Engine?

    @Option(help: "How many seconds the snapshot stays open beside which PostgreSQL works.")
    var snapshotSeconds = 60

    @Flag(help: "A tenth of the jobs: to see that it works, not for figures.")
    var quick = false

    @OptionGroup var servers: Servers

    mutating func validate() throws {
        guard runs >= 1 else { throw ValidationError("--runs is \(runs); at least 1 is needed") }
        guard snapshotSeconds >= 5 else {
            throw ValidationError("--snapshot-seconds is \(snapshotSeconds); at least 5 show something")
        }
        if let only, FigureGroup.allCases.allSatisfy({ !$0.rawValue.contains(only) }) {
            let names = FigureGroup.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("no group is called '\(only)'; there are \(names)")
        }
        if let engine, servers.address(of: engine) == nil {
            let name = engine.rawValue
            throw ValidationError("no \(name) server: give --\(name) URL, or run Scripts/bench.sh, which starts one")
        }
    }

    func run() async throws {
        var report = Report()
        for missing in Engine.allCases where servers.address(of: missing) == nil && engine == nil {
            report.say("\(missing.rawValue) is left out: no server was named (--\(missing.rawValue) URL)")
        }
        let setups = Setup.allCases.filter { setup in
            servers.address(of: setup.engine) != nil && (engine == nil || setup.engine == engine)
        }
        let scale = Scale(
            runs: runs,
            isQuick: quick,
            snapshotSeconds: snapshotSeconds,
            setups: setups,
            servers: servers,
            hasOthers: engine == nil
        )
        for group in FigureGroup.allCases where only.map(group.rawValue.contains) ?? true {
            guard engine == nil || group.isOfStores else { continue }
            report.say("measuring \(group.rawValue)")
            for figure in try await group.measure(scale) { report.add(figure) }
        }
        report.printAll()
    }
}

/// How much is measured, and where.
struct Scale: Sendable {
    let runs: Int
    let isQuick: Bool
    let snapshotSeconds: Int
    let setups: [Setup]
    let servers: Servers
    /// Whether figures are asked that are of no engine.
    let hasOthers: Bool

    /// This many jobs, or a tenth.
    func jobs(_ count: Int) -> Int { isQuick ? max(count / 10, 100) : count }
}

/// What is measured together.
enum FigureGroup: String, CaseIterable {
    case enqueue, drain, memory, both, latency, backlog, snapshot, footprint, schedules, requests

    /// Whether its figures are asked for each engine.
    var isOfStores: Bool { self != .memory && self != .requests }

    func measure(_ scale: Scale) async throws -> [Figure] {
        switch self {
        case .enqueue: try await EnqueueFigures(scale: scale).measure()
        case .drain: try await DrainFigures(scale: scale).measure()
        case .memory: try await MemoryFigures(scale: scale).measure()
        case .both: try await BothFigures(scale: scale).measure()
        case .latency: try await LatencyFigures(scale: scale).measure()
        case .backlog: try await BacklogFigures(scale: scale).measure()
        case .snapshot: try await SnapshotFigures(scale: scale).measure()
        case .footprint: try await FootprintFigures(scale: scale).measure()
        case .schedules: try await ScheduleFigures(scale: scale).measure()
        case .requests: try await RequestFigures(scale: scale).measure()
        }
    }
}
