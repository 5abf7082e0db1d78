// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Synchronization
import TestServers
import Testing

@testable import ErrandPostgres

@Suite("PostgreSQL: wake-up of other processes", .timeLimit(.minutes(2)))
struct PostgresSignalsTests {
    /// Signals of a store as they come.
    private func signals(of store: PostgresStore) -> AsyncStream<StoreSignal> {
        let (stream, continuation) = AsyncStream<StoreSignal>.makeStream()
        _ = store.hub.subscribe { continuation.yield($0) }
        return stream
    }

    private func wait(for wanted: StoreSignal, in stream: AsyncStream<StoreSignal>) async {
        for await signal in stream where signal == wanted { return }
    }

    @Test("one store hears what another one stores, cancels, pauses and ends")
    func hears() async throws {
        let bench = try PostgresBench()
        let (one, other) = (try bench.open { $0.wakeUp = .listen }, try bench.open { $0.wakeUp = .listen })
        for store in [one, other] {
            _ = try await store.counts()
            #expect(await store.describe().warnings.allSatisfy { !$0.contains("polling") })
        }
        let heard = signals(of: other)
        let job = bench.job()
        _ = try await one.insert([job], offer: nil)
        await wait(for: .work([.default]), in: heard)
        let worker = try await bench.worker(in: one)
        let lease = try #require(try await bench.claim(worker, in: one).first?.lease)
        _ = try await one.operate(Operation(.cancel, on: .ids([job.id]), actor: "ada", reason: "test"))
        await wait(for: .cancelled([job.id]), in: heard)
        let watch = other.hub.watch(job.id)
        _ = try await one.settle([Settlement(lease: lease, outcome: .cancelled(reason: "asked"))])
        await wait(for: .finished([job.id]), in: heard)
        watch.cancel()
        try await one.setControls([.pause(.everything, actor: "ada", reason: "test", lasting: nil)])
        await wait(for: .controls, in: heard)
        try bench.server.psql("SELECT \(bench.schema).enqueue('mail', '{}', '{\"queue\": \"sql\"}')")
        await wait(for: .work(["sql"]), in: heard)
        try await one.close()
        try await other.close()
    }

    @Test("a worker's store listens again after the server came back")
    func again() async throws {
        let server = try PostgresServer()
        defer { server.remove() }
        let bench = try PostgresBench(server)
        let store = try bench.open { $0.wakeUp = .listen }
        _ = try await store.counts()
        #expect(await store.describe().warnings.allSatisfy { !$0.contains("polling") })
        let heard = signals(of: store)
        try server.restart(9)
        await wait(for: .elsewhere, in: heard)
        try server.psql("SELECT \(bench.schema).enqueue('mail', '{}')")
        await wait(for: .work([.default]), in: heard)
        try await store.close()
    }

    @Test("behind a transaction pooler it polls, and says so; with the server's own address it listens")
    func pooled() async throws {
        let bench = try PostgresBench()
        let url = try PgBouncerServer.shared().url()
        let polling = try bench.open(url) { $0.wakeUp = .listen }
        _ = try await polling.counts()
        #expect(await polling.describe().warnings.contains { $0.contains("polling only: a pooler") })
        let listening = try bench.open(url) {
            $0.wakeUp = .listen
            $0.listenAddress = bench.server.url()
        }
        _ = try await listening.counts()
        #expect(await listening.describe().warnings.allSatisfy { !$0.contains("polling") })
        let heard = signals(of: listening)
        _ = try await polling.insert([bench.job()], offer: nil)
        try bench.server.psql("SELECT \(bench.schema).enqueue('mail', '{}')")
        await wait(for: .work([.default]), in: heard)
        // A pooler that is trusted and swallows notifications is found out by the test at the start.
        let deceived = try bench.open(url) {
            $0.wakeUp = .listen
            $0.listenAddress = url
        }
        _ = try await deceived.counts()
        #expect(await deceived.describe().warnings.contains { $0.contains("did not arrive") })
        for store in [polling, listening, deceived] { try await store.close() }
    }

    @Test("a notice reads back, and what is too long or unknown means anything")
    func notices() throws {
        var effects = PostgresEffects()
        effects.work = ["a b", "c"]
        let id = try #require(JobID("01a20098-0021-796a-9614-f61c29cb92aa"))
        (effects.cancelled, effects.finished, effects.controls) = ([id], [id], true)
        let notice = PostgresNotice(effects)
        let read = try #require(PostgresNotice.read(notice.text(from: "me")))
        #expect(read.sender == "me")
        #expect(read.notice == notice)
        effects.work = Set((0..<100).map { QueueName("\($0)" + String(repeating: "x", count: 100)) })
        #expect(PostgresNotice.read(PostgresNotice(effects).text(from: "me"))?.notice.isVague == true)
        #expect(PostgresNotice.read("you\nz new word")?.notice.isVague == true)
        #expect(PostgresNotice.read("me\nt") == nil)
    }
}
