// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Errand

@Suite("What a round of maintenance does")
struct MaintenancePlanTests {
    @Test("what jobs wait for is done every round, the rest as often as it is worth")
    func rounds() {
        var plan = MaintenancePlan()
        var counts: [MaintenancePlan.Duty: Int] = [:]
        #expect(plan.round(at: .zero, mayRescue: false) == [.expire, .prune, .sampleDepth, .sweep, .findOrphans])
        for second in stride(from: 5, through: 300, by: 5) {
            for duty in plan.round(at: .seconds(second), mayRescue: true) { counts[duty, default: 0] += 1 }
        }
        #expect(counts == [.rescue: 60, .expire: 60, .sampleDepth: 20, .prune: 10, .sweep: 5, .findOrphans: 5])
    }

    @Test("what found something is done again in the next round")
    func found() {
        var plan = MaintenancePlan()
        _ = plan.round(at: .zero, mayRescue: true)
        plan.found(.prune)
        #expect(plan.round(at: .seconds(5), mayRescue: true) == [.rescue, .expire, .prune])
        #expect(plan.round(at: .seconds(10), mayRescue: true) == [.rescue, .expire])
    }

    @Test("a round that comes late does everything that is due")
    func late() {
        var plan = MaintenancePlan()
        _ = plan.round(at: .zero, mayRescue: true)
        #expect(plan.round(at: .seconds(60), mayRescue: true) == MaintenancePlan.Duty.allCases)
    }
}
