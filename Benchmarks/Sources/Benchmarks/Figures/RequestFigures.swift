// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOPosix

/// What background tasks cost the requests that add them, and those that do not, beside bare Hummingbird.
struct RequestFigures {
    let scale: Scale

    private enum Kind: CaseIterable {
        case bare, bareTask, none, one, three

        var name: String {
            switch self {
            case .bare: "bare Hummingbird"
            case .bareTask: "bare with Task {} per request"
            case .none: "no task"
            case .one: "1 task"
            case .three: "3 tasks"
            }
        }

        var tasks: Int {
            switch self {
            case .bare, .none: 0
            case .bareTask, .one: 1
            case .three: 3
            }
        }

        var isBare: Bool { self == .bare || self == .bareTask }
    }

    func measure() async throws -> [Figure] {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var rates: [Kind: [Double]] = [:]
        var tails: [Kind: [Double]] = [:]
        var expected = 0
        let ran = try await ChildProcess.run(["serve-child"]) { [scale] child in
            let bare = try await child.number("bare")
            let ours = try await child.number("ours")
            var (rates, tails, expected) = ([Kind: [Double]](), [Kind: [Double]](), 0)
            let seconds = scale.isQuick ? 0.2 : 0.5
            // The first stretch of each warms it up. Many short ones in turn: the machine is never the same for long.
            for turn in 0...(scale.runs * 9) {
                for kind in Kind.allCases {
                    let load = LoadGenerator(
                        port: kind.isBare ? bare : ours,
                        path: "/tasks/\(kind.tasks)",
                        connections: 32
                    )
                    let result = try await load.run(for: seconds, on: group.next())
                    expected += result.requests * kind.tasks
                    guard turn > 0 else { continue }
                    rates[kind, default: []].append(result.rate)
                    tails[kind, default: []].append(result.latencies.percentile(99))
                }
            }
            try await child.finish()
            return (rates, tails, expected, try await child.number("ran"))
        }
        (rates, tails, expected) = (ran.0, ran.1, ran.2)
        guard ran.3 == expected else { throw VoidFigure("\(ran.3) of \(expected) tasks ran") }
        try await group.shutdownGracefully()
        return Kind.allCases.flatMap { kind in
            let isBare = kind == .bare
            return [
                Figure("requests, \(kind.name)", rates[kind] ?? [], "1/s", limit: isBare ? [] : rates[.bare] ?? []),
                Figure("requests, \(kind.name), p99", tails[kind] ?? [], "ms", limit: isBare ? [] : tails[.bare] ?? []),
            ]
        }
    }
}
