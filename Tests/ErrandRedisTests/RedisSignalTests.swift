// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization
import TestServers
import Testing

@testable import ErrandRedis

@Suite("Processes tell each other", .timeLimit(.minutes(1)))
struct RedisSignalTests {
    /// What another store of the same deployment hears, in order.
    private func hear(_ store: RedisStore) -> AsyncStream<StoreSignal> {
        let (stream, heard) = AsyncStream.makeStream(of: StoreSignal.self)
        _ = store.hub.subscribe { heard.yield($0) }
        return stream
    }

    private func first(
        in signals: AsyncStream<StoreSignal>,
        _ isMeant: @escaping @Sendable (StoreSignal) -> Bool
    ) async -> Bool {
        for await signal in signals where isMeant(signal) { return true }
        return false
    }

    @Test("of work, cancels, ends and controls")
    func signals() async throws {
        let bench = try Bench()
        let (here, there) = (try bench.open(), try bench.open())
        let heard = hear(there)
        try await there.open()
        #expect(await first(in: heard) { $0 == .elsewhere }, "the subscription did not begin")
        let worker = try await bench.worker(in: here)
        let job = bench.job(queue: .default)
        let watch = there.hub.watch(job.id)
        _ = try await here.insert([job], offer: nil)
        #expect(await first(in: heard) { $0 == .work([.default]) })
        let lease = try #require(try await here.claim(bench.request(worker)).jobs.first).lease
        let cancel = ErrandCore.Operation(.cancel, on: .ids([job.id]), actor: "ada", reason: "why")
        _ = try await here.operate(cancel)
        #expect(await first(in: heard) { $0 == .cancelled([job.id]) })
        _ = try await here.settle([Settlement(lease: lease, outcome: .succeeded(result: nil))])
        #expect(await first(in: heard) { $0 == .finished([job.id]) })
        let next = bench.job()
        let other = there.hub.watch(next.id)
        _ = try await here.insert([next], offer: nil)
        let again = try #require(try await here.claim(bench.request(worker)).jobs.first).lease
        _ = try await here.settle([Settlement(lease: again, outcome: .succeeded(result: nil))])
        #expect(await first(in: heard) { $0 == .finished([next.id]) })
        try await here.setControls([.pause(.everything, actor: "ada", reason: "", lasting: nil)])
        #expect(await first(in: heard) { $0 == .controls })
        let definition = ScheduleRecord.Definition(trigger: .every(.hours(1)), job: nil)
        let schedule = ScheduleRecord(id: "a", source: .code, definition: definition, hash: "h", at: .epoch)
        var change = ScheduleChange(id: "a", expected: 0, record: schedule)
        change.wakesSchedulers = true
        #expect(try await here.changeSchedules([change]) == [.stored([])])
        #expect(await first(in: heard) { $0 == .controls })
        watch.cancel()
        other.cancel()
        try await here.close()
        try await there.close()
    }

    @Test("a job that an offer took at once wakes nobody else")
    func offers() async throws {
        let bench = try Bench()
        let (here, there) = (try bench.open(), try bench.open())
        let heard = hear(there)
        try await there.open()
        #expect(await first(in: heard) { $0 == .elsewhere })
        let worker = try await bench.worker(in: here)
        let offer = ClaimOffer(worker: worker, names: ["mail": 1], slots: [.default: 1])
        _ = try await here.insert([bench.job()], offer: offer)
        _ = try await here.insert([bench.job(queue: "later")], offer: nil)
        let signals = Mutex<[StoreSignal]>([])
        #expect(
            await first(in: heard) { signal in
                signals.withLock { $0.append(signal) }
                return signal == .work(["later"])
            }
        )
        #expect(signals.withLock { $0 } == [.work(["later"])])
        try await here.close()
        try await there.close()
    }

    @Test("a deployment hears nothing of another one on the same server")
    func apart() async throws {
        let (one, two) = (try Bench(), try Bench())
        let (first, second) = (try one.open(), try two.open())
        _ = try await first.insert([one.job()], offer: nil)
        #expect(try await second.counts().count() == 0)
        #expect(try await first.counts().count() == 1)
        try await first.close()
        try await second.close()
    }
}
