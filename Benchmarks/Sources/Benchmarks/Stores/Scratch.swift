// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

@_spi(Benchmarks) import ErrandSQLite
import Errand
import Foundation
import Logging

/// A database file of its own, gone at the end.
struct Scratch {
    let file: String
    let durability: StoreDescription.Durability
    private let folder: URL

    /// An empty file with the shipped schema.
    init(_ durability: StoreDescription.Durability) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("errand-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        file = folder.appendingPathComponent("jobs.db").path
        self.durability = durability
    }

    /// Opens the file as an application does, runs `body` and closes it.
    func withStore<Value>(_ body: (SQLiteStore) async throws -> Value) async throws -> Value {
        let store = try SQLiteStore(path: file, configuration: SQLiteConfiguration(durability: durability))
        let value: Value
        do {
            value = try await body(store)
        } catch {
            try? await store.close()
            throw error
        }
        try await store.close()
        return value
    }

    func remove() {
        try? FileManager.default.removeItem(at: folder)
    }
}

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
    static func measured(_ store: any JobStore, _ handlers: JobHandlers) -> Worker {
        var configuration = WorkerConfiguration()
        configuration.retention = RetentionPolicy(maximum: nil)
        var logger = Logger(label: "benchmark")
        logger.logLevel = .error
        return Worker(store: store, handlers: handlers, configuration: configuration, logger: logger)
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

extension StoreDescription.Durability {
    /// For names of figures.
    var word: String { self == .powerLoss ? "powerLoss" : "processCrash" }
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
