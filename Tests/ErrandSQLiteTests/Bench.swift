// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import GRDB
import Synchronization
import Testing

@testable import ErrandSQLite

/// A folder with a database, removed with the value.
final class Bench: Sendable {
    let folder: String
    let clock = ManualClock()
    private let generator = Mutex(SeededGenerator(seed: 7))

    init() throws {
        folder = NSTemporaryDirectory() + "errand-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var file: String { folder + "/jobs.db" }

    func open(_ change: (inout SQLiteConfiguration) -> Void = { _ in }) throws -> SQLiteStore {
        var configuration = SQLiteConfiguration()
        change(&configuration)
        return try SQLiteStore(path: file, configuration: configuration, clock: clock)
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

    func worker(in store: SQLiteStore) async throws -> WorkerID {
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

/// The code with which a call failed; `nil` when it did not.
func code(_ call: () async throws -> Void) async -> StoreError.Code? {
    do {
        try await call()
        return nil
    } catch {
        return (error as? StoreError)?.code
    }
}

/// Signals that a hub published, with a wait for the first that is meant.
final class Signals: Sendable {
    private struct State {
        var seen: [StoreSignal] = []
        var waiters: [(meant: @Sendable (StoreSignal) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    init(of hub: LocalHub) {
        _ = hub.subscribe { [weak self] signal in self?.add(signal) }
    }

    var all: [StoreSignal] { state.withLock { $0.seen } }

    func first(_ meant: @escaping @Sendable (StoreSignal) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.seen.contains(where: meant) { return true }
                state.waiters.append((meant, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    private func add(_ signal: StoreSignal) {
        let ready = state.withLock { state in
            state.seen.append(signal)
            let ready = state.waiters.filter { $0.meant(signal) }
            state.waiters.removeAll { $0.meant(signal) }
            return ready
        }
        for waiter in ready { waiter.continuation.resume() }
    }
}
