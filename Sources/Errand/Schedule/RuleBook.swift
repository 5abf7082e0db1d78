// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// The rules of triggers, each made once while its trigger stays.
final class RuleBook: Sendable {
    private struct Page {
        var trigger: Trigger
        var rule: ScheduleRule
    }

    let zones: ZoneCatalog
    private let pages = Mutex<[ScheduleID: Page]>([:])

    /// More rules than this are made anew when they are needed.
    private static let limit = 20_000

    init(zones: ZoneCatalog) { self.zones = zones }

    /// - Throws: ``/ErrandCore/TriggerError``.
    func rule(of trigger: Trigger, for id: ScheduleID) throws(TriggerError) -> ScheduleRule {
        if let page = pages.withLock({ $0[id] }), page.trigger == trigger { return page.rule }
        let rule = try trigger.rule(for: id.rawValue, zones: zones)
        pages.withLock { pages in
            if pages.count < Self.limit || pages[id] != nil { pages[id] = Page(trigger: trigger, rule: rule) }
        }
        return rule
    }
}
