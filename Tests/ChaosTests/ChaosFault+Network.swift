// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import TestServers

extension ChaosFault {
    /// What goes wrong with a network before a server; the processes have to connect through `proxy`, and the run has to
    /// heal it at its end (``healed(_:)``).
    static func ofNetwork(_ proxy: FaultProxy) -> [ChaosFault] {
        [
            ChaosFault("cut-after-request", weight: 3) { _, generator in
                proxy.cut(.afterRequest, at: Int.random(in: 1...50, using: &generator))
            },
            ChaosFault("cut-before-answer", weight: 3) { _, generator in
                proxy.cut(.beforeAnswer, at: Int.random(in: 1...50, using: &generator))
            },
            ChaosFault("cut-all", weight: 2) { _, _ in proxy.endConnections() },
            ChaosFault("delay") { _, generator in
                let wait = Duration.milliseconds(Int.random(in: 5...200, using: &generator))
                try await spell(proxy, .delay(wait), &generator)
            },
            ChaosFault("half-open") { _, generator in
                try await spell(proxy, .swallow, &generator)
                // What was swallowed never comes; a peer that is gone is noticed when the connection ends.
                proxy.endConnections()
            },
            ChaosFault("outage") { _, generator in try await spell(proxy, .refuse, &generator) },
        ]
    }

    /// Puts an end to everything.
    static func healed(_ proxy: FaultProxy) async throws {
        proxy.forgetCuts()
        try await proxy.set(.pass)
    }

    private static func spell(
        _ proxy: FaultProxy,
        _ mode: FaultProxy.Mode,
        _ generator: inout SeededGenerator
    ) async throws {
        try await proxy.set(mode)
        let time = Duration.milliseconds(Int.random(in: 100...1500, using: &generator))
        try await SystemClock.shared.sleep(for: time)
        try await proxy.set(.pass)
    }
}
