// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import Testing

/// Any question about jobs, page by page, for `FUZZ_SECONDS` (3); `FUZZ_SEED` repeats a run.
@Suite("Any filter and any page", .timeLimit(.minutes(5)))
struct PageFuzzTests {
    @Test(
        "pages are what the filter means, none twice and none left out, also while jobs come and go",
        arguments: FaultPointTests.Engine.allCases
    )
    func pages(_ engine: FaultPointTests.Engine) async throws {
        let run = FuzzRun(ProcessInfo.processInfo.environment)
        let report = try await run.rounds(of: "pages (\(engine))", announce: { print($0) }) { generator, again in
            let clock = ManualClock()
            var choices = PageChoices(generator: generator, clock: clock)
            try await engine.with(clock) { store in
                try await choices.fill(store)
                for _ in 0..<12 { try await question(store, &choices, again) }
            }
        }
        print(report)
    }

    /// One question with all its pages, against a look at every row.
    private func question(_ store: any JobStore, _ choices: inout PageChoices, _ again: String) async throws {
        let filter = choices.filter()
        let start = choices.start()
        let before = try await everything(store, choices)
        var found: [JobID] = []
        var (after, calls) = (start, 0)
        do {
            repeat {
                let request = choices.page(after: after)
                let page = try await store.list(filter, page: request)
                #expect(page.jobs.count <= request.limit, "\(again)")
                #expect(page.jobs.allSatisfy { $0.payload.bytes.isEmpty }, "\(again)")
                if let next = page.next { #expect(after.map { next < $0 } ?? true, "no way back, \(again)") }
                found += page.jobs.map(\.id)
                after = page.next
                calls += 1
                if choices.generator.once(in: 4) { try await choices.change(store) }
            } while after != nil && calls < 2000
        } catch let error as StoreError {
            #expect(error.code == .invalid, "\(error), \(again)")
            return
        }
        #expect(calls < 2000, "pages without end, \(again)")
        let now = try await everything(store, choices)
        let meant = { (records: [JobID: JobRecord]) in
            Set(
                records.values.filter { record in filter.matches(record) && start.map { record.id < $0 } ?? true }
                    .map(\.id)
            )
        }
        #expect(found == found.sorted(by: >) && Set(found).count == found.count, "in order and once, \(again)")
        // Jobs that were meant all the time are there; those never meant are not.
        let (first, last) = (meant(before), meant(now))
        let steady = first.intersection(last)
        #expect(steady.subtracting(found).isEmpty, "left out by \(filter), \(again)")
        #expect(Set(found).isSubset(of: first.union(last)), "not meant by \(filter), \(again)")
        let count = try await store.count(filter, limit: 10_000)
        let all = now.values.count(where: filter.matches)
        #expect(count == BoundedCount(value: all, isExact: true), "the count of \(filter), \(again)")
    }

    private func everything(_ store: any JobStore, _ choices: PageChoices) async throws -> [JobID: JobRecord] {
        let records = try await store.jobs(choices.ids, parts: .payload)
        return Dictionary(uniqueKeysWithValues: records.map { ($0.id, $0) })
    }
}
