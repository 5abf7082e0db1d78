// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// A schedule that a user asks for: when to send a reminder to whom.
struct ScheduleForm {
    /// The least time between two reminders.
    static let closest: Duration = .minutes(1)

    let id: ScheduleID
    let trigger: Trigger
    let email: String

    /// Checks the fields; the sentences about id, rule and zone are Errand's own.
    /// - Throws: ``Problem`` with status 422 that names each wrong field.
    init(_ body: FieldReader, now: Timestamp) throws {
        var fields = body
        let id = fields.text("id", length: 1...ScheduleID.longest) { ScheduleID($0).problem }
        let cron = fields.text("cron", length: 1...200)
        let zone = fields.optionalText("zone", length: 1...100)
        email = fields.text("email", length: 3...254, check: EmailAddress.problem)
        self.id = ScheduleID(id)
        trigger = .cron(cron, in: zone)
        if !cron.isEmpty, let (field, problem) = Self.problem(with: trigger, id: id, now: now) {
            fields.fail(field, problem)
        }
        try fields.finish()
    }

    private static func problem(with trigger: Trigger, id: String, now: Timestamp) -> (field: String, String)? {
        do throws(TriggerError) {
            let times = try trigger.rule(for: id).preview(3, after: now).map(\.nominal)
            let isDense = zip(times, times.dropFirst()).contains { $1 - $0 < closest }
            return isDense ? ("cron", "must not fire more than once a minute") : nil
        } catch {
            let isAboutZone = error.code == .unknownZone || error.code == .twoZones
            return (isAboutZone ? "zone" : "cron", error.message)
        }
    }
}
