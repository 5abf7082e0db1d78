// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Logging

extension JobClient {
    /// Stores jobs in calls of a thousand.
    func fill(_ count: Int) async throws {
        for start in stride(from: 0, to: count, by: 1000) {
            try await enqueue(contentsOf: (start..<min(start + 1000, count)).map(NoOp.init))
        }
    }
}

extension Worker {
    /// A worker that logs nothing below errors and keeps every finished job.
    static func measured(
        _ store: any JobStore,
        _ handlers: JobHandlers,
        events: EventHub = EventHub()
    ) -> Worker {
        var configuration = WorkerConfiguration()
        configuration.retention = RetentionPolicy(maximum: nil)
        var logger = Logger(label: "benchmark")
        logger.logLevel = .error
        return Worker(store: store, handlers: handlers, configuration: configuration, events: events, logger: logger)
    }

    /// Runs while `body` does.
    func runs<Value>(during body: () async throws -> Value) async throws -> Value {
        let running = Task { try await self.run() }
        let value: Value
        do {
            value = try await body()
        } catch {
            running.cancel()
            throw error
        }
        stopClaiming()
        try await running.value
        return value
    }
}

extension Duration {
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

/// How long `body` takes, in seconds.
func time(_ body: () async throws -> Void) async rethrows -> Double {
    let start = SystemClock.shared.uptime
    try await body()
    return (SystemClock.shared.uptime - start).inSeconds
}

/// How many of `count` things `body` does in a second.
func rate(of count: Int, _ body: () async throws -> Void) async rethrows -> Double {
    Double(count) / (try await time(body))
}
