// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import ErrandTesting
import Foundation
import Synchronization
import TestServers
import Testing

/// A schema of its own on a server, and short words for calls.
final class PostgresBench: Sendable {
    let server: PostgresServer
    let schema: String
    private static let number = Mutex(0)
    private let generator = Mutex(SeededGenerator(seed: 7))

    init(_ server: PostgresServer? = nil) throws {
        self.server = try server ?? PostgresServer.shared()
        schema = Self.number.withLock { number in
            number += 1
            return "bench\(number)"
        }
    }

    func open(
        _ url: String? = nil,
        clock: ManualClock? = nil,
        _ change: (inout PostgresConfiguration) -> Void = { _ in }
    ) throws -> PostgresStore {
        var configuration = PostgresConfiguration(schema: schema)
        configuration.wakeUp = .poll
        configuration.connections = 2
        change(&configuration)
        guard let clock else { return try PostgresStore(url: url ?? server.url(), configuration: configuration) }
        return try PostgresStore(url: url ?? server.url(), configuration: configuration, clock: clock)
    }

    func connect() async throws -> PostgresConnection { try await PostgresConnection.connect(server.url()) }

    func id() -> JobID { generator.withLock { JobID(at: SystemClock.shared.now, using: &$0) } }

    func job(_ name: JobName = "mail", unique: UniqueRule? = nil, _ change: (inout NewJob) -> Void = { _ in }) -> NewJob
    {
        var job = NewJob(id: id(), name: name, payload: Payload(bytes: Array("{}".utf8)), unique: unique)
        change(&job)
        return job
    }

    func worker(in store: any JobStore) async throws -> WorkerID {
        let id = generator.withLock { WorkerID(at: SystemClock.shared.now, using: &$0) }
        let registration = WorkerRegistration(
            id: id,
            host: "here",
            pid: 1,
            version: "1",
            names: ["mail": 1],
            slots: [.default: 10]
        )
        _ = try await store.register(registration)
        return id
    }

    func claim(_ worker: WorkerID, in store: any JobStore, limit: Int = 10) async throws -> [ClaimedJob] {
        let request = ClaimRequest(
            worker: worker,
            names: ["mail": 1],
            queues: [.init(name: .default, slots: 1000)],
            limit: limit
        )
        return try await store.claim(request).jobs
    }

    func state(of id: JobID, in store: any JobStore) async throws -> JobState? {
        try await store.jobs([id], parts: []).first?.state
    }
}

/// The error a call throws; a call that throws none, or another kind, is an issue.
func storeError(_ what: String, _ call: () async throws -> Void) async -> StoreError? {
    do {
        try await call()
        Issue.record("\(what) did not throw")
    } catch let error as StoreError {
        return error
    } catch {
        Issue.record("\(what) threw \(error)")
    }
    return nil
}
