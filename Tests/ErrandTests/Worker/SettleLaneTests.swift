// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Synchronization
import Testing

@testable import Errand

@Suite("Settle lane", .timeLimit(.minutes(1)))
struct SettleLaneTests {
    private let clock = ManualClock()
    private let lane = SettleLane()

    private func ending(_ number: Int) -> Ending {
        let worker = WorkerID("0192f3c4-0000-7000-8000-000000000001")!
        let lease = Lease(job: JobID(high: 0x7000, low: UInt64(number)), worker: worker, epoch: 1)
        return Ending(lease: lease, outcome: .released)
    }

    private func numbers(_ endings: [Ending]) -> [UInt64] { endings.map(\.lease.job.low) }

    @Test("with nothing else to do an ending is written at once")
    func alone() async {
        lane.put(ending(1))
        #expect(numbers(await lane.next(on: clock) { false }) == [1])
        async let next = lane.next(on: clock) { false }
        lane.put(ending(2))
        #expect(numbers(await next) == [2])
    }

    @Test("while jobs wait for slots, a few endings wait a little for company")
    func company() async {
        lane.put(ending(1))
        async let next = lane.next(on: clock) { true }
        await clock.waitForTimer(in: SettleLane.patience)
        lane.put(ending(2))
        clock.advance(by: SettleLane.patience)
        #expect(numbers(await next) == [1, 2])
    }

    @Test("enough endings wait for nobody, and more than a write takes are left for the next one")
    func enough() async {
        lane.put(ending(0))
        async let next = lane.next(on: clock) { true }
        await clock.waitForTimer(in: SettleLane.patience)
        for number in 1..<SettleLane.enough { lane.put(ending(number)) }
        #expect(await next.count == SettleLane.enough)
        for number in 0..<(SettleLane.most + 1) { lane.put(ending(number)) }
        #expect(numbers(await lane.next(on: clock) { true }) == (0..<UInt64(SettleLane.most)).map { $0 })
        #expect(numbers(await lane.next(on: clock) { false }) == [UInt64(SettleLane.most)])
    }

    @Test("endings stop waiting for company when there is none left to come")
    func hurry() async {
        let mayGather = Mutex(true)
        lane.put(ending(1))
        async let next = lane.next(on: clock) { mayGather.withLock { $0 } }
        await clock.waitForTimer(in: SettleLane.patience)
        mayGather.withLock { $0 = false }
        lane.hurry()
        #expect(numbers(await next) == [1])
    }

    @Test("cancelled, it hands out what is there without a wait, then ends")
    func cancelled() async {
        lane.put(ending(1))
        let (lane, clock) = (lane, clock)
        let rest = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            let last = await lane.next(on: clock) { true }
            let none = await lane.next(on: clock) { true }
            return [last.count, none.count]
        }
        #expect(await rest.value == [1, 0])
    }
}
