// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("History checker")
struct HistoryCheckerTests {
    @Test("a history that breaks a promise is told by the name of the promise", arguments: BadHistory.all)
    func bad(_ history: BadHistory) {
        var script = HistoryScript()
        history.write(&script)
        var checker = HistoryChecker(poll: .seconds(6))
        let found = checker.check(script.events, ending: script.ending)
        #expect(found.first?.id == history.id, "\(found)")
    }

    @Test("a history in which everything went wrong that may breaks no promise")
    func good() {
        var script = HistoryScript()
        let (one, other) = (script.worker(), script.worker())
        let first = script.start(script.insert(script.new { $0.retry = .attempts(3, backoff: .none) }), on: one)
        script.beat(one, [first.lease])
        let failed = script.start(script.settle(first.row, first.lease, .failure), on: one)
        let released = script.start(script.settle(failed.row, failed.lease, .released), on: other)
        script.wait(.minutes(1))
        let again = script.start(script.rescue(released.row), on: one)
        script.beat(other, [released.lease], lost: [released.lease])
        let late = Settlement(lease: released.lease, outcome: .success)
        script.call(.settle([late]), .settle([.leaseLost]))
        var ended = script.settle(again.row, again.lease, .success)
        let before = ended
        _ = ended.retry(after: .zero, at: script.now)
        script.operate(.retry(spread: .zero), before, ended)
        let last = script.start(ended, on: one)
        _ = script.settle(last.row, last.lease, .success)
        var checker = HistoryChecker(poll: .seconds(6))
        let found = checker.check(script.events, ending: script.ending)
        #expect(found.isEmpty, "\(found)")
    }

    @Test("a job that expired while it waited for its key never had it, however long it would have kept it")
    func followUpWithoutKey() {
        var script = HistoryScript()
        let holder = script.insert(script.new { $0.unique = UniqueRule(key: "k") })
        let job = script.new { $0.unique = UniqueRule(key: "k", scope: .forTTL(.hours(1)), conflict: .runAgainAfter) }
        var waiting = JobRecord(job, at: script.now + .seconds(1))
        waiting.waitForKey()
        script.call(.insert([job], offer: nil), .insert([.stored(job.id)]), (nil, waiting))
        var expired = waiting
        expired.expire(at: script.now)
        script.call(.maintain(.expire), .maintain(MaintenanceReport()), (waiting, expired))
        let worker = script.worker()
        let running = script.start(holder, on: worker)
        _ = script.settle(running.row, running.lease, .success)
        _ = script.insert(script.new { $0.unique = UniqueRule(key: "k") })
        var checker = HistoryChecker(poll: .seconds(6))
        let found = checker.check(script.events, ending: script.ending)
        #expect(found.isEmpty, "\(found)")
    }

    @Test("a dead worker's job waits as long as no worker lives until its first round of maintenance")
    func nobodyToRescue() {
        var script = HistoryScript()
        script.record(.healed, in: 0)
        script.wait(.minutes(2))
        let one = script.worker()
        let running = script.start(script.insert(script.new()), on: one)
        script.record(.crashed([one]))
        for _ in 0..<6 {
            script.wait(.seconds(10))
            let next = script.worker()
            script.record(.crashed([next]))
        }
        _ = script.worker()
        script.wait(.seconds(5))
        let again = script.start(script.rescue(running.row), on: script.worker())
        _ = script.settle(again.row, again.lease, .success)
        var checker = HistoryChecker(poll: .seconds(6))
        let found = checker.check(script.events, ending: script.ending)
        #expect(found.isEmpty, "\(found)")
    }

    @Test(
        "a worker whose registration arrives when it is no more is not idle; one that lives is",
        arguments: ["crashed", "stopped", "lives"]
    )
    func lateRegistration(fate: String) {
        var script = HistoryScript()
        let late = script.registration()
        script.record(.invoked(call: 1000, .register(late)), in: 2)
        if fate == "crashed" { script.record(.crashed([late.id]), in: 2) }
        if fate == "stopped" { script.record(.stopped, in: 2) }
        script.record(.healed, in: 0)
        script.wait(.minutes(2))
        let busy = script.worker(slots: 1)
        let first = script.start(script.insert(script.new()), on: busy)
        let next = script.insert(script.new())
        script.record(.effect(call: 1000, .maintain(MaintenanceReport())), in: 2)
        script.wait(.seconds(20))
        _ = script.settle(first.row, first.lease, .success)
        let second = script.start(next, on: busy)
        _ = script.settle(second.row, second.lease, .success)
        var checker = HistoryChecker(poll: .seconds(6))
        let found = checker.check(script.events, ending: script.ending)
        #expect(found.map(\.id) == (fate == "lives" ? ["L4"] : []), "\(found)")
    }

    @Test("the story of a violation names the promise and shows what touches its job, the latest at the end")
    func story() throws {
        var script = HistoryScript()
        let (one, other) = (script.worker(), script.worker())
        let first = script.start(script.insert(script.new()), on: one)
        script.wait(.minutes(1))
        let second = script.start(script.rescue(first.row), on: other)
        _ = script.settle(second.row, first.lease, .success)
        var checker = HistoryChecker(poll: .seconds(6))
        let found = try #require(checker.check(script.events, ending: script.ending).first)
        let lines = HistoryStory(found, of: script.events, limit: 5).description.split(separator: "\n")
        #expect(lines.count == 7)
        #expect(lines.first?.hasPrefix("S5: a settlement under epoch 1 ended the attempt of epoch 3") == true)
        #expect(lines.last?.contains("settle epoch 1") == true)
    }
}
