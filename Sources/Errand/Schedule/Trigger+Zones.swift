// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Foundation

extension Trigger {
    /// One date, moved to the next whole second.
    public static func once(at date: Date) -> Trigger { .once(at: Timestamp(date)) }

    /// Checks the trigger against the zones of Foundation and makes the rule that knows its times.
    /// - Parameter schedule: The id of the schedule, from which `H` is chosen.
    /// - Throws: ``/ErrandCore/TriggerError``, in one line that says what to write.
    public func rule(for schedule: String? = nil) throws(TriggerError) -> ScheduleRule {
        try rule(for: schedule, zones: .foundation)
    }

    /// The next nominal times after this instant; at most 1,000.
    /// - Throws: ``/ErrandCore/TriggerError`` when the trigger is no rule.
    public func preview(
        _ count: Int,
        after instant: Timestamp = SystemClock.shared.now,
        for schedule: String? = nil
    ) throws(TriggerError) -> [PlannedTick] {
        try rule(for: schedule).preview(count, after: instant)
    }

    /// The trigger in plain English, with its zone.
    /// - Throws: ``/ErrandCore/TriggerError`` when the trigger is no rule.
    public func describe(for schedule: String? = nil) throws(TriggerError) -> String {
        try rule(for: schedule).describe()
    }
}
