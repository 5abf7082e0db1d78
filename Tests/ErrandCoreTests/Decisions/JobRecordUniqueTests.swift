// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("What an enqueue with a taken key does")
struct JobRecordUniqueTests {
    static let now = Timestamp(microseconds: 5_000_000_000)

    static func job(_ conflict: UniqueRule.Conflict, _ change: (inout NewJob) -> Void = { _ in }) -> NewJob {
        var job = NewJob(
            id: JobID(high: 1, low: 1),
            name: "mail",
            payload: Payload(bytes: []),
            unique: UniqueRule(key: "k", conflict: conflict)
        )
        change(&job)
        return job
    }

    static let conflicts: [UniqueRule.Conflict] = [
        .returnExisting, .replacePending(.all), .runAgainAfter, .throwError,
    ]

    @Test("the collision follows from the rule and the state", arguments: JobState.allCases)
    func table(state: JobState) {
        for conflict in Self.conflicts {
            for hasFollowUp in [false, true] {
                var record = JobRecord(Self.job(.returnExisting), at: Self.now)
                record.state = state
                let collision = record.collide(with: Self.job(conflict), at: Self.now, hasFollowUp: hasFollowUp)
                let wanted: JobRecord.Collision =
                    switch conflict {
                    case .returnExisting: .existing
                    case .throwError: .refused
                    case .replacePending: state.isPending ? .replaced : .existing
                    case .runAgainAfter:
                        state == .running || hasFollowUp ? .followUp : state.isPending ? .replaced : .existing
                    }
                #expect(collision == wanted, "\(conflict) \(state) \(hasFollowUp)")
            }
        }
    }

    @Test("only pending jobs are changed", arguments: JobState.allCases.filter { !$0.isPending })
    func untouched(state: JobState) {
        for conflict in Self.conflicts {
            var record = JobRecord(Self.job(.returnExisting), at: Self.now)
            record.state = state
            let before = record
            _ = record.collide(with: Self.job(conflict) { $0.priority = .urgent }, at: Self.now)
            #expect(record == before)
        }
    }

    @Test("a key is needed until the start, the end, or its time")
    func holds() throws {
        let worker = try #require(WorkerID("00000000-0000-7000-8000-000000000001"))
        var record = JobRecord(Self.job(.returnExisting), at: Self.now)
        func holds(_ scope: UniqueRule.Scope) -> Bool {
            record.unique?.scope = scope
            return record.holdsUniqueKey
        }
        #expect(holds(.untilStart) && holds(.untilDone) && holds(.forTTL(.seconds(1))))
        _ = record.claim(by: worker, at: Self.now)
        #expect(!holds(.untilStart) && holds(.untilDone) && holds(.forTTL(.seconds(1))))
        _ = record.settle(.snoozed(.seconds(1)), at: Self.now)
        #expect(!holds(.untilStart) && holds(.untilDone))
        _ = record.cancel(by: "a", reason: "", at: Self.now)
        #expect(!holds(.untilStart) && !holds(.untilDone) && holds(.forTTL(.seconds(1))))
    }

    @Test("a follow-up waits, and then is ready or scheduled")
    func followUp() {
        for delay in [Duration.zero, .hours(1)] {
            var record = JobRecord(Self.job(.runAgainAfter) { $0.start = .after(delay) }, at: Self.now)
            record.waitForKey()
            #expect(record.state == .waiting)
            record.takeKey(at: Self.now + .minutes(1))
            #expect(record.state == (delay == .zero ? .ready : .scheduled))
            #expect(record.runAt == max(Self.now + .minutes(1), Self.now + delay))
        }
    }
}
