// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
public import Testing

/// The definition of a store: what every engine must do, as a list of cases.
///
/// An engine's test target runs all of them:
///
/// ```swift
/// @Suite struct MemoryConformance {
///     @Test(arguments: StoreConformance.cases)
///     func holds(_ example: StoreConformance.Case) async throws {
///         try await example.run { clock in MemoryStore(clock: clock) }
///     }
/// }
/// ```
///
/// Time stands still in all of them unless the case moves it, and no case sleeps.
public enum StoreConformance {
    /// Makes a fresh, empty store whose time is that of the clock; or, as `reopen`, opens the same storage again
    /// after it was closed.
    public typealias Factory = @Sendable (ManualClock) async throws -> any JobStore

    /// One thing that a store must do.
    public struct Case: Sendable, CustomTestStringConvertible {
        /// What it must do, as a sentence.
        public let name: String
        private let needsReopen: Bool
        private var needsMoves = false
        private var needsSchedules = false
        private let body: @Sendable (StoreBench) async throws -> Void

        init(_ name: String, needsReopen: Bool = false, _ body: @escaping @Sendable (StoreBench) async throws -> Void) {
            self.name = name
            self.needsReopen = needsReopen
            self.body = body
        }

        /// The same for a store that jobs are moved from and to; one that says it is not must refuse.
        var aboutMoves: Case {
            var copy = self
            copy.needsMoves = true
            return copy
        }

        /// The same for a store that keeps schedules; one that says it does not must refuse.
        var aboutSchedules: Case {
            var copy = self
            copy.needsSchedules = true
            return copy
        }

        /// The sentence, for the test report.
        public var testDescription: String { name }

        /// Runs the case on a fresh store; what does not hold is recorded as an issue of the running test.
        ///
        /// Cases about reopening do nothing when there is no `reopen`.
        /// - Throws: What the store threw where the case did not expect an error.
        public func run(make: Factory, reopen: Factory? = nil) async throws {
            if needsReopen && reopen == nil { return }
            let clock = ManualClock()
            let bench = StoreBench(name, store: try await make(clock), clock: clock, reopen: reopen)
            do {
                if needsMoves, await !bench.store.describe().isMovable {
                    await bench.refuses(.unsupported, "export") { _ = try await bench.export() }
                } else if needsSchedules, await !bench.store.describe().keepsSchedules {
                    await bench.refuses(.unsupported, "schedules") { _ = try await bench.due() }
                } else {
                    try await body(bench)
                }
            } catch {
                try? await bench.store.close()
                Issue.record("\(name): threw \(error)")
                return
            }
            try await bench.store.close()
        }
    }

    /// All cases, by group.
    public static let cases: [Case] =
        insertCases + payloadCases + claimCases + orderCases + dueCases + lateCases + pauseCases + offerCases
        + settleCases + refusalCases + fencingCases + historyCases + resultCases + workerCases + rescueCases
        + uniqueCases + conflictCases + followUpCases + operateCases + bulkCases + matrixCases
        + inspectCases + listCases + seriesCases + maintainCases + retentionCases + signalCases
        + (moveCases + arrivalCases).map(\.aboutMoves)
        + (scheduleCases + tickCases + scheduleReopenCases).map(\.aboutSchedules) + reopenCases + raceCases
        + randomCases
}
