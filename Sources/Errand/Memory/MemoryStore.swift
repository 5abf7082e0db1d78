// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Synchronization

/// A store that lives in this process and dies with it: for tests, for trying things out, and for work that may
/// be lost.
///
/// It keeps every rule that the durable engines keep, and the conformance suite compares them with it. All calls
/// are one short critical section; nothing waits for a disk.
public final class MemoryStore: JobStore {
    /// Wake-up signals and offers of this store.
    public let hub = LocalHub()
    let clock: any ErrandClock
    private let table = Mutex(MemoryTable())

    /// An empty store whose time is that of `clock`.
    public init(clock: any ErrandClock = SystemClock.shared) {
        self.clock = clock
    }

    /// A store that also tells `journal` of every change of a row as it happens, inside its lock: the row before and
    /// after, `nil` for one that is not there. For simulations, which check the changes.
    package convenience init(
        clock: any ErrandClock,
        journal: @escaping @Sendable (_ before: JobRecord?, _ after: JobRecord?, _ now: Timestamp) -> Void
    ) {
        self.init(clock: clock)
        table.withLock { $0.journal = journal }
    }

    // Rows know their queue, lane and worker, and those know their rows.
    deinit { table.withLock { $0.untie() } }

    /// Engine `memory`, durability none, not shared.
    public func describe() async -> StoreDescription {
        StoreDescription(
            engine: "memory",
            engineVersion: "1",
            schemaVersion: 0,
            durability: .none,
            isShared: false,
            hasTransactions: false
        )
    }

    /// Refuses all later calls; what is stored stays until the store is released.
    public func close() async throws {
        table.withLock { $0.isClosed = true }
    }

    /// Runs one call: decides under the lock, publishes after it.
    func act<Answer: Sendable>(
        _ body: (inout MemoryTable, Timestamp) throws(StoreError) -> Answer
    ) throws(StoreError) -> Answer {
        let now = clock.now
        let (answer, effects) = try table.withLock { table throws(StoreError) in
            guard !table.isClosed else {
                throw StoreError(.closed, "the store was closed; open a new one")
            }
            let answer = try body(&table, now)
            let effects = table.effects
            table.effects = MemoryEffects()
            return (answer, effects)
        }
        publish(effects)
        return answer
    }

    private func publish(_ effects: MemoryEffects) {
        if !effects.work.isEmpty { hub.publish(.work(effects.work)) }
        if !effects.cancelled.isEmpty { hub.publish(.cancelled(effects.cancelled)) }
        if effects.controls { hub.publish(.controls) }
        if !effects.finished.isEmpty { hub.publishFinished(effects.finished) }
    }
}
