// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Testing

@testable import ChaosProcess

/// Several processes decide the ticks of many schedules that fire every second, while things go wrong; then everything
/// that the store kept is counted.
struct ScheduleDrill: Sendable {
    /// What goes wrong.
    enum Mode: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case calm
        /// Every second a process is killed and another one takes its place.
        case kill
        /// A process stands still for a while and then goes on as if nothing had happened.
        case freeze

        var testDescription: String { rawValue }
    }

    var mode: Mode
    var seconds = Self.number("SCHEDULE_SECONDS") ?? 10
    var processes = Self.number("SCHEDULE_PROCESSES") ?? 3
    var schedules = Self.number("SCHEDULE_COUNT") ?? 20
    var seed = Self.number("SCHEDULE_SEED").map(UInt64.init) ?? UInt64.random(in: 1...999_999)
    /// How long what is late may take when nothing goes wrong any more.
    var patience: Duration = .minutes(3)

    /// How long a run takes at most, in minutes.
    static var minutes: Int { 12 + (number("SCHEDULE_SECONDS") ?? 0) / 60 }

    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

    private var freeze: Duration { .seconds(min(60, max(seconds / 2, 1))) }

    /// Every tick gets a job, however late it is: what is counted does not depend on how slow the machine is.
    private static let policy = SchedulePolicy(catchUp: .all(max: 1000), overlap: .allow(max: 1000))

    /// Runs on the store of this URL, which is empty.
    func run(_ name: String, on url: String) async throws -> ScheduleDrillReport {
        let folder = FileManager.default.temporaryDirectory.appending(path: "errand-schedules-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let store = try await ChaosStore.open(url)
        let fleet = ChaosFleet(url: url, workers: processes, folder: folder)
        do {
            // Half of them are there when the processes start, and of half they hear while they run.
            try await put(0..<schedules / 2, in: store)
            try await fleet.start(withClient: false)
            try await put(schedules / 2..<schedules, in: store)
            try await disturb(fleet)
            await fleet.calm()
            let end = try await store.schedules(.page(limit: 1)).at
            try await untilDecided(end, store)
            let codes = await fleet.end()
            var report = ScheduleDrillReport(store: name, drill: self)
            report.ends = codes.filter { $0 != 0 }
            try await count(&report, through: end, store)
            try await store.close()
            return report
        } catch {
            await fleet.kill()
            try? await store.close()
            throw error
        }
    }

    private func put(_ numbers: Range<Int>, in store: any JobStore) async throws {
        let scheduler = Scheduler(store: store)
        for number in numbers {
            let id = ScheduleID("drill-\(number)")
            try await scheduler.put(id, .cron("* * * * * *"), policy: Self.policy, job: Chore.nothing)
        }
    }

    private func disturb(_ fleet: ChaosFleet) async throws {
        let clock = SystemClock.shared
        var generator = SeededGenerator(seed: seed)
        let end = clock.uptime + .seconds(seconds)
        if mode == .freeze { fleet.freeze(Int.random(in: 0..<processes, using: &generator), for: freeze) }
        while clock.uptime < end {
            try await clock.sleep(for: min(.seconds(1), end - clock.uptime))
            guard mode == .kill, clock.uptime < end else { continue }
            try await fleet.replaceWorker(Int.random(in: 0..<processes, using: &generator))
        }
    }

    /// Waits until every tick up to an instant of store time is decided; what is not by then is counted as missed.
    private func untilDecided(_ instant: Timestamp, _ store: any JobStore) async throws {
        let clock = SystemClock.shared
        let end = clock.uptime + patience
        while clock.uptime < end {
            if let records = try? await records(of: store), records.allSatisfy({ $0.cursor >= instant }) { return }
            try await clock.sleep(for: .milliseconds(200))
        }
    }

    private func records(of store: any JobStore) async throws -> [ScheduleRecord] {
        var records: [ScheduleRecord] = []
        while true {
            let page = try await store.schedules(.page(after: records.last?.id, limit: 500)).schedules.map(\.record)
            records += page
            if page.count < 500 { return records }
        }
    }

    private func count(
        _ report: inout ScheduleDrillReport,
        through end: Timestamp,
        _ store: any JobStore
    ) async throws {
        let records = try await records(of: store)
        report.count(schedules - records.count, of: "schedules that are gone")
        for record in records {
            var rows: [TickRecord] = []
            var page: [TickRecord]
            repeat {
                let all = Timestamp(microseconds: .min)...Timestamp(microseconds: .max)
                page = try await store.ticks(TickRequest(record.id, .span(all, after: rows.last)))
                rows += page
            } while page.count == 1000
            report.count(rows, of: record, through: end)
        }
        var after: JobID?
        repeat {
            let request = JobPageRequest(after: after, limit: JobPageRequest.largest)
            let page = try await store.list(JobFilter(), page: request)
            report.count(page.jobs)
            after = page.next
        } while after != nil
        report.close()
    }
}

extension Chore {
    /// One that does nothing.
    fileprivate static let nothing = Chore(number: 1)
}
