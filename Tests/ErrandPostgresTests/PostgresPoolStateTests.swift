// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@testable import ErrandPostgres

@Suite("Pool of connections")
struct PostgresPoolStateTests {
    private let trouble = StoreError(.unavailable, "away")

    @Test("opens up to its limit, then lets callers wait in turn")
    func bounded() {
        var state = PostgresPoolState<Int>(limit: 2)
        for _ in 0..<2 {
            guard case .open = state.ask(at: .zero) else { return #expect(Bool(false), "should open") }
            state.opened()
        }
        guard case .wait(let first) = state.ask(at: .zero), case .wait(let second) = state.ask(at: .zero) else {
            return #expect(Bool(false), "should wait")
        }
        let woken = state.release(7)
        #expect(woken?.ticket == first)
        if case .use(7) = woken?.turn {} else { #expect(Bool(false), "should use the connection") }
        let (isSecond, isFirst) = (state.giveUp(second), state.giveUp(first))
        #expect(isSecond && !isFirst)
        let nobody = state.release(7)
        #expect(nobody == nil)
        #expect(state.idle == [7])
    }

    @Test("refuses at once while the server is away, and lets one caller try after each pause")
    func breaks() {
        var state = PostgresPoolState<Int>(limit: 4)
        var now = Duration.zero
        guard case .open = state.ask(at: now) else { return #expect(Bool(false), "should open") }
        _ = state.failed(trouble, at: now, share: 1)
        var pauses: [Duration] = []
        for _ in 0..<8 {
            let failedAt = now
            if case .refuse(trouble) = state.ask(at: now) {} else { #expect(Bool(false), "should refuse") }
            while true {
                now += .milliseconds(10)
                if case .open = state.ask(at: now) { break }
            }
            if case .refuse(trouble) = state.ask(at: now) {} else { #expect(Bool(false), "one tries alone") }
            pauses.append(now - failedAt)
            _ = state.failed(trouble, at: now, share: 1)
        }
        #expect(pauses.map { $0.wholeMicroseconds / 1000 } == [100, 200, 400, 800, 1600, 2000, 2000, 2000])
        now += .seconds(2)
        guard case .open = state.ask(at: now) else { return #expect(Bool(false), "should open") }
        state.opened()
        guard case .open = state.ask(at: now) else { return #expect(Bool(false), "should open again") }
        #expect(state.trouble == nil)
    }

    @Test("a failure to connect is told to all who wait")
    func tells() {
        var state = PostgresPoolState<Int>(limit: 1)
        _ = state.ask(at: .zero)
        guard case .wait(let ticket) = state.ask(at: .zero) else { return #expect(Bool(false), "should wait") }
        let woken = state.failed(trouble, at: .zero, share: 0)
        #expect(woken.map(\.ticket) == [ticket])
        #expect(state.total == 0)
    }

    @Test("a lost connection takes the idle ones with it and gives its place to the first who waits")
    func loses() {
        var state = PostgresPoolState<Int>(limit: 2)
        _ = state.ask(at: .zero)
        _ = state.ask(at: .zero)
        guard case .wait(let ticket) = state.ask(at: .zero) else { return #expect(Bool(false), "should wait") }
        let lost = state.lose()
        #expect(lost.woken?.ticket == ticket)
        if case .open = lost.woken?.turn {} else { #expect(Bool(false), "should open") }
        let nobody = state.release(2)
        #expect(nobody == nil)
        let dropped = state.lose().dropped
        #expect(dropped == [2])
        #expect(state.total == 0)
    }

    @Test("a closed pool refuses, and drops what comes back")
    func closes() {
        var state = PostgresPoolState<Int>(limit: 1)
        _ = state.ask(at: .zero)
        _ = state.close()
        let nobody = state.release(1)
        #expect(nobody == nil)
        #expect(state.total == 0)
        if case .refuse(let error) = state.ask(at: .zero) {
            #expect(error.code == .closed)
        } else {
            #expect(Bool(false), "should refuse")
        }
    }
}
