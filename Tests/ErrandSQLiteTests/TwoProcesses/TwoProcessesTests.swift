// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation
import Subprocess
import Testing

@testable import ErrandSQLite
@testable import TwinProcess

/// This process and another one on one file. Each test runs once with wake-up signals and polls so rare that only a
/// signal can explain what happens, and once with the signals dropped and polls that find it.
@Suite("Two processes on one file", .serialized, .timeLimit(.minutes(2)))
struct TwoProcessesTests {
    enum WakeUps: Sendable, CaseIterable {
        case arrive
        case areDropped
    }

    /// This process, the other one, and what this one said.
    struct Pair: Sendable {
        let near: Twin
        let said: LineLog
        let far: FarProcess
    }

    @Test("a job that one process stores is started by the other", arguments: WakeUps.allCases)
    func wakeUp(_ wakeUps: WakeUps) async throws {
        try await run(wakeUps) { pair in
            var waits: [Double] = []
            for number in 0..<(wakeUps == .arrive ? 50 : 10) {
                let start = SystemClock.shared.uptime
                let id = try await pair.near.client.enqueue(Note(text: "\(number)")).id
                let words = try await pair.far.lines.words(after: "ran \(id)")
                let started = try #require(words.first.flatMap(Int64.init))
                waits.append(Double(started - start.wholeMicroseconds) / 1000)
            }
            waits.sort()
            print(
                "two processes, wake-ups \(wakeUps): enqueue to start in the other process, median "
                    + "\(waits[waits.count / 2]) ms, longest \(waits[waits.count - 1]) ms, \(waits.count) jobs"
            )
            try await pair.far.send("heard")
            let heard = try await pair.far.lines.words(after: "heard").first.flatMap(Int.init)
            #expect(wakeUps == .arrive ? heard ?? 0 > 0 : heard == 0)
        }
    }

    @Test("a job that one process stores for later is started by the other at its time", arguments: WakeUps.allCases)
    func later(_ wakeUps: WakeUps) async throws {
        try await run(wakeUps) { pair in
            // The second is due first, so the other process has to look at its time anew.
            var expected: [(id: JobID, due: Timestamp)] = []
            for delay in [600, 300] {
                let id = try await pair.near.client.enqueue(Note(text: "later"), options: .delay(.milliseconds(delay)))
                    .id
                expected.append((id, try #require(try await pair.near.client.job(id)).runAt))
            }
            for (id, due) in expected.reversed() {
                _ = try await pair.far.lines.words(after: "ran \(id)")
                let record = try await JobHandle<Note>(id: id, client: pair.near.client).finished(timeout: .minutes(5))
                #expect(try #require(record.startedAt) >= due)
            }
        }
    }

    @Test("a cancel in one process stops the job that runs in the other", arguments: WakeUps.allCases)
    func cancel(_ wakeUps: WakeUps) async throws {
        try await run(wakeUps) { pair in
            let handle = try await pair.near.client.enqueue(Stay(text: "long"))
            _ = try await pair.far.lines.words(after: "started \(handle.id)")
            try await handle.cancel(reason: "superseded")
            #expect(try await pair.far.lines.words(after: "cancelled \(handle.id)") == ["superseded"])
            let record = try await handle.finished(timeout: .minutes(5))
            #expect(record.state == .cancelled)
            #expect(record.epoch == 1)
        }
    }

    @Test("a queue that one process pauses is not served by the other until it is resumed", arguments: WakeUps.allCases)
    func pause(_ wakeUps: WakeUps) async throws {
        try await run(wakeUps) { pair in
            let client = pair.near.client
            for scope in [Pause.Scope.name(Stay.name), .queue(.default), .everything] {
                try await client.pause(scope, reason: "maintenance")
                let isByName = scope == .name(Stay.name)
                // In one commit, so that the claim that takes the note sees the other, too.
                let held = try client.prepare(Stay(text: "paused"))
                let note = try client.prepare(Note(text: "free"))
                _ = try await client.enqueue(prepared: isByName ? [held, note] : [held])
                if isByName { _ = try await pair.far.lines.words(after: "ran \(note.id)") }
                let handle = JobHandle<Stay>(id: held.id, client: client)
                #expect(try await handle.record().state == .ready)
                try await client.resume(scope, reason: "done")
                let started = try await pair.far.lines.words(after: "started \(held.id)")
                #expect(started == ["1", "paused"])
                try await pair.far.send("finish \(held.id)")
                #expect(try await handle.finished(timeout: .minutes(5)).state == .succeeded)
            }
        }
    }

    @Test("the result of a job that runs in the other process can be awaited, in both", arguments: WakeUps.allCases)
    func result(_ wakeUps: WakeUps) async throws {
        try await run(wakeUps) { pair in
            let handle = try await pair.near.client.enqueue(Stay(text: "far"))
            _ = try await pair.far.lines.words(after: "started \(handle.id)")
            async let result = handle.result(timeout: .minutes(5))
            try await pair.far.send("finish \(handle.id)")
            #expect(try await result == "far!")
        }
        try await run(wakeUps, farWorks: false) { pair in
            try await working(pair.near) {
                let id = try await pair.near.client.enqueue(Stay(text: "near")).id
                _ = try await pair.said.words(after: "started \(id)")
                try await pair.far.send("await \(id)")
                _ = try await pair.far.lines.words(after: "awaiting \(id)")
                pair.near.finish(id)
                #expect(try await pair.far.lines.words(after: "result \(id)") == ["near!"])
            }
        }
    }

    @Test("a job of a process that is killed runs again in the other at once", arguments: WakeUps.allCases)
    func rescue(_ wakeUps: WakeUps) async throws {
        let status = try await run(wakeUps, nearMaintenance: 50) { pair in
            let handle = try await pair.near.client.enqueue(Stay(text: "precious"))
            #expect(try await pair.far.lines.words(after: "started \(handle.id)") == ["1", "precious"])
            try await working(pair.near) {
                // It lives, so its job is left alone however often somebody looks.
                let report = try await pair.near.store.maintain(.rescue(silence: .minutes(30)))
                #expect(report.rescued.isEmpty)
                let start = SystemClock.shared.uptime
                try await pair.far.kill()
                let started = try await pair.said.words(after: "started \(handle.id)")
                #expect(started.last == "precious")
                #expect(started.first.flatMap(Int.init) ?? 0 > 1)
                let wait = (SystemClock.shared.uptime - start).inSeconds * 1000
                print("two processes, wake-ups \(wakeUps): killed to started again, \(wait.rounded()) ms")
                pair.near.finish(handle.id)
                #expect(try await handle.result(timeout: .minutes(5)) == "precious!")
            }
            let record = try await handle.record(parts: .attempts)
            #expect(record.attempts.map(\.ending) == [.crashed, .succeeded])
            #expect(record.crashes == 1 && record.failures == 0)
            #expect(try await pair.near.store.workers().isEmpty)
        }
        #expect(status == .signaled(9))
    }

    @Test(
        "of two processes that want one unique key one gets it, and the other is told so; its end frees it for both",
        arguments: WakeUps.allCases
    )
    func unique(_ wakeUps: WakeUps) async throws {
        try await run(wakeUps, farWorks: false) { pair in
            var wins = (near: 0, far: 0)
            for round in 0..<100 {
                let (key, rule) = ("key-\(round)", round.isMultiple(of: 2) ? "keep" : "refuse")
                try await pair.far.send("unique \(key) \(rule)")
                // The road to the other process is longer, so it often gets a start.
                if round % 4 < 2 { _ = try await pair.far.lines.words(after: "wants \(key)") }
                let near = try await pair.near.unique(key, rule).split(separator: " ").map(String.init)
                let far = try await pair.far.lines.words(after: "unique \(key) \(rule)")
                let (winner, loser) = near.first == "stored" ? (near, far) : (far, near)
                #expect(winner.first == "stored")
                #expect(loser.first == (rule == "keep" ? "duplicate" : "conflict"))
                if rule == "keep" { #expect(loser.last == winner.last) }
                if winner == near { wins.near += 1 } else { wins.far += 1 }
            }
            print(
                "two processes, wake-ups \(wakeUps): 100 keys, \(wins.near) won by this one, \(wins.far) by the other"
            )
            #expect(try await pair.near.client.count(JobFilter()).value == 100)
            try await pair.near.client.cancel(matching: JobFilter(), reason: "over")
            #expect(try await pair.near.unique("key-0", "refuse").hasPrefix("stored"))
            try await pair.far.send("unique key-1 again")
            #expect(try await pair.far.lines.words(after: "unique key-1 again").first == "stored")
        }
    }

    @Test("an enqueue during the run in the other process runs again after it", arguments: WakeUps.allCases)
    func runAgain(_ wakeUps: WakeUps) async throws {
        try await run(wakeUps) { pair in
            let first = try await pair.near.unique("key", "again").split(separator: " ").map(String.init)
            let id = try #require(first.last)
            _ = try await pair.far.lines.words(after: "started \(id)")
            let second = try await pair.near.unique("key", "again").split(separator: " ").map(String.init)
            #expect(second.first == "stored")
            let next = try #require(second.last)
            #expect(next != id)
            #expect(pair.far.lines.all.allSatisfy { !$0.hasPrefix("started \(next)") })
            try await pair.far.send("finish \(id)")
            _ = try await pair.far.lines.words(after: "started \(next)")
            try await pair.far.send("finish \(next)")
            let last = JobHandle<Stay>(id: try #require(JobID(next)), client: pair.near.client)
            #expect(try await last.result(timeout: .minutes(5)) == "key!")
            // Nobody has it any more.
            #expect(try await pair.near.unique("key", "refuse").hasPrefix("stored"))
        }
    }

    // MARK: Two processes

    /// Runs `body` with both processes on a new file; this one runs no jobs yet.
    @discardableResult
    private func run(
        _ wakeUps: WakeUps,
        farWorks: Bool = true,
        nearMaintenance: Int = 600_000,
        _ body: @Sendable (Pair) async throws -> Void
    ) async throws -> TerminationStatus {
        try await withTemporaryFolder { folder in
            var settings = TwinSettings(file: folder + "/jobs.db")
            if wakeUps == .areDropped {
                settings.hasSignals = false
                (settings.pollMilliseconds, settings.beatMilliseconds) = (100, 200)
            }
            let said = LineLog()
            var nearSettings = settings
            nearSettings.maintenanceMilliseconds = nearMaintenance
            let near = try Twin(nearSettings) { said.add($0) }
            settings.works = farWorks
            let (_, status) = try await FarProcess.run(settings) { far in
                // Until then this process believes that it is alone and tells nobody.
                while wakeUps == .arrive, near.store.signals?.hasCompany != true { await Task.yield() }
                try await body(Pair(near: near, said: said, far: far))
            }
            try await near.store.close()
            return status
        }
    }

    /// Runs `body` while this process runs jobs, too.
    private func working(_ twin: Twin, _ body: @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await twin.work() }
            await twin.untilReady()
            try await body()
            group.cancelAll()
        }
    }
}
