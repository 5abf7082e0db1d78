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
        print("fuzz pages (\(engine)): \(run)")
        let report = try await run.rounds(of: "pages (\(engine))") { generator, again in
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
        let meant = { (records: [JobRecord]) in
            Set(records.filter { record in filter.matches(record) && start.map { record.id < $0 } ?? true }.map(\.id))
        }
        // What was meant all the time, and what was meant at any time.
        var steady = try await meant(store.jobs(choices.ids, parts: .payload))
        var ever = steady
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
                guard choices.generator.once(in: 4) else { continue }
                try await choices.change(store)
                let now = try await meant(store.jobs(choices.ids, parts: .payload))
                steady.formIntersection(now)
                ever.formUnion(now)
            } while after != nil && calls < 2000
        } catch let error as StoreError {
            #expect(error.code == .invalid, "\(error), \(again)")
            return
        }
        #expect(calls < 2000, "pages without end, \(again)")
        #expect(found == found.sorted(by: >) && Set(found).count == found.count, "in order and once, \(again)")
        #expect(steady.subtracting(found).isEmpty, "left out by \(filter), \(again)")
        #expect(Set(found).isSubset(of: ever), "not meant by \(filter), \(again)")
        let count = try await store.count(filter, limit: 10_000)
        let all = try await store.jobs(choices.ids, parts: .payload).count(where: filter.matches)
        #expect(count == BoundedCount(value: all, isExact: true), "the count of \(filter), \(again)")
    }
}
