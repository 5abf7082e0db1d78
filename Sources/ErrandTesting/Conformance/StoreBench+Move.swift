// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
package import ErrandCore
import Synchronization

extension StoreConformance {
    /// Fills an empty store with a job in every state and with every kind of part, key, pause and record, by calls that
    /// clients, workers and operators make; for tests that move jobs.
    package static func fill(_ store: any JobStore, clock: ManualClock) async throws {
        try await StoreBench("filling", store: store, clock: clock, reopen: nil).fill()
    }
}

extension StoreBench {
    /// Fills the store with a job in every state but `running` and with every kind of part.
    func fill() async throws {
        let worker = try await worker()
        let note = { (lease: Lease, now: Timestamp) in
            LeaseNote(
                lease: lease,
                progress: (0.5, "half"),
                lines: [LogLine(at: now, level: "info", message: "a \"line\"\nof two, ␀ \u{1F600}")],
                checkpoints: ["page": .text("3"), "": Payload(bytes: [0, 255, 128], version: 2)]
            )
        }
        for state in Self.reachable where state != .running {
            clock.advance(by: .seconds(1))
            _ = try await make(state, worker: worker)
            if state == .ready, let ready = try await claim(worker, 1).jobs.first {
                _ = try await store.note([note(ready.lease, now)])
                try await ends(ready.lease, .again(after: .minutes(1)), as: .retrying)
            }
        }
        let binary = try await run(
            job { job in
                job.payload = Payload(bytes: [0, 1, 254, 255], format: .init(rawValue: "raw"), version: 1)
                (job.tags, job.headers) = (["a", "b"], ["k": "v, \"w\""])
                (job.trace, job.retry) = (["traceparent": "00-1"], .attempts(3, backoff: .fixed(.seconds(1))))
                (job.startWithin, job.deadline, job.timeout) = (.hours(1), .hours(2), nil)
                job.resultTTL = .hours(30)
            },
            on: worker
        )
        try await ends(binary.lease, .retry(after: .zero, error: .sample, timedOut: true), as: .ready)
        let again = try await take(worker)
        _ = try await settle(again.lease, .succeeded(result: Payload(bytes: Array("done".utf8), version: 3)))
        let done = try await run(job(unique: UniqueRule(key: "for a day", scope: .forTTL(.hours(24)))), on: worker)
        try await ends(done.lease, .success, as: .succeeded)
        let failed = try await run(on: worker)
        try await ends(failed.lease, .failure, as: .failed)
        try await operate(.retry(spread: .zero), failed.record.id)
        try await ends(try await take(worker).lease, .failed(.permanent, error: .sample, timedOut: false), as: .failed)
        let held = try await put(job("call", start: .after(.minutes(5))))
        try await operate(.hold(lasting: .hours(1)), held, reason: "wait")
        try await put(job("call", queue: "other", version: 3, priority: 9, unique: UniqueRule(key: "only one")))
        try await store.setControls([
            .pause(.queue("other"), actor: "ada", reason: "test", lasting: nil),
            .pause(.name("call"), actor: "ada", reason: "test", lasting: .hours(3)),
        ])
        for number in 0..<5 { try await put(job(text: "\(number)")) }
        try await store.retire(worker)
    }

    func exportID() -> ExportID {
        let now = now
        return generator.withLock { ExportID(at: now, using: &$0) }
    }

    func export(
        _ part: ExportRequest.Part = .pending,
        after: String? = nil,
        limit: Int = 500,
        byteLimit: Int = 1 << 20,
        to destination: String = "there"
    ) async throws -> ExportBatch {
        try await store.export(
            ExportRequest(
                id: exportID(),
                destination: destination,
                part: part,
                after: after,
                limit: limit,
                byteLimit: byteLimit
            )
        )
    }

    func transfer(from source: any JobStore, to destination: any JobStore) -> StoreTransfer {
        var configuration = StoreTransferConfiguration()
        (configuration.batchLimit, configuration.patience) = (4, .zero)
        return StoreTransfer(
            from: source,
            to: destination,
            configuration: configuration,
            clock: clock,
            chance: Chance(SeededGenerator(seed: id().low))
        )
    }
}
