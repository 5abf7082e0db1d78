// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import RedisWire
import Synchronization
import TestServers
import Testing

@testable import ErrandRedis

/// A deployment of its own on a server, and short words for calls.
final class Bench: Sendable {
    let server: RedisServer
    let name = UUID().uuidString
    let clock = ManualClock()
    private let generator = Mutex(SeededGenerator(seed: 7))

    init(_ server: RedisServer? = nil) throws {
        self.server = try server ?? RedisServer.shared()
    }

    /// A store whose time is that of the server.
    func open(_ url: String? = nil, _ change: (inout RedisStoreConfiguration) -> Void = { _ in }) throws -> RedisStore {
        var configuration = RedisStoreConfiguration(name: name)
        change(&configuration)
        return try RedisStore(url: url ?? server.url, configuration: configuration)
    }

    /// A store whose time is that of ``clock``.
    func openManual() throws -> RedisStore {
        try RedisStore(url: server.url, configuration: RedisStoreConfiguration(name: name), time: clock)
    }

    func client(_ url: String? = nil) throws -> RedisClient {
        RedisClient(RedisConfiguration(try RedisAddress(url: url ?? server.url)))
    }

    func id() -> JobID {
        let now = clock.now
        return generator.withLock { JobID(at: now, using: &$0) }
    }

    func job(
        _ name: JobName = "mail",
        queue: QueueName = .default,
        bytes: [UInt8] = Array("{}".utf8),
        _ change: (inout NewJob) -> Void = { _ in }
    ) -> NewJob {
        var job = NewJob(id: id(), name: name, payload: Payload(bytes: bytes), queue: queue)
        change(&job)
        return job
    }

    func worker(in store: any JobStore) async throws -> WorkerID {
        let now = clock.now
        let id = generator.withLock { WorkerID(at: now, using: &$0) }
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

    func request(_ worker: WorkerID, limit: Int = 10) -> ClaimRequest {
        ClaimRequest(worker: worker, names: ["mail": 1], queues: [.init(name: .default, slots: limit)], limit: limit)
    }
}

/// The error with which a call failed; `nil` when it did not.
func failure(_ call: () async throws -> Void) async -> StoreError? {
    do {
        try await call()
        return nil
    } catch {
        return error as? StoreError
    }
}
