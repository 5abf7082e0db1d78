// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

/// A schedule as a program declares it: a name, when it fires, and the job of each tick.
///
/// ```swift
/// ScheduleDefinition("sync", .every(.seconds(300)), job: Sync())
/// ScheduleDefinition("nightly-report", .cron("30 2 * * *", in: "Europe/Berlin")) { tick in
///     NightlyReport(until: tick.nominal)
/// }
/// ```
public struct ScheduleDefinition: Sendable {
    /// Its name; see ``/ErrandCore/ScheduleID`` for what it may hold.
    public let id: ScheduleID
    /// When it fires.
    public let trigger: Trigger
    /// What happens when things are not as usual.
    public let policy: SchedulePolicy
    let name: JobName
    /// The job of every tick; `nil` when each has its own.
    let template: (@Sendable () throws -> NewJob)?
    /// The job of one tick; `nil` when there is nothing to do.
    let build: @Sendable (Tick) throws -> NewJob?

    /// A schedule whose job is the same each time. It is kept with the schedule, so that any scheduler can enqueue it.
    /// - Parameters:
    ///   - id: Its name.
    ///   - trigger: When it fires.
    ///   - policy: What happens when things are not as usual.
    ///   - job: What is enqueued.
    ///   - options: What the job wants different from its type; `id` and `start` are the schedule's own.
    public init<J: Job>(
        _ id: ScheduleID,
        _ trigger: Trigger,
        policy: SchedulePolicy = .standard,
        job: J,
        options: EnqueueOptions = EnqueueOptions()
    ) {
        (self.id, self.trigger, self.policy, name) = (id, trigger, policy, J.name)
        let make: @Sendable () throws -> NewJob = { try NewJob(job, options: options, id: Self.anyID, trace: [:]) }
        template = make
        build = { _ in try make() }
    }

    /// A schedule whose job is made for each tick. Only schedulers that were given this definition can enqueue it.
    /// - Parameters:
    ///   - id: Its name.
    ///   - trigger: When it fires.
    ///   - policy: What happens when things are not as usual.
    ///   - options: What the job wants different from its type; `id` and `start` are the schedule's own.
    ///   - build: Makes the job. `nil` skips the tick, which is recorded. It must be quick, and may be called again for
    ///     a tick whose decision was not stored. When it throws, the schedule is broken until it does not.
    public init<J: Job>(
        _ id: ScheduleID,
        _ trigger: Trigger,
        policy: SchedulePolicy = .standard,
        options: EnqueueOptions = EnqueueOptions(),
        build: @escaping @Sendable (Tick) throws -> J?
    ) {
        (self.id, self.trigger, self.policy, name) = (id, trigger, policy, J.name)
        template = nil
        self.build = { tick in
            try build(tick).map { try NewJob($0, options: options, id: Self.anyID, trace: [:]) }
        }
    }

    /// The id of templates; a tick's job has its own.
    static let anyID = JobID(high: 0, low: 0)

    /// What the store keeps.
    func definition() throws -> ScheduleRecord.Definition {
        ScheduleRecord.Definition(trigger: trigger, policy: policy, job: try template?())
    }

    /// What is wrong with it, each in one line; empty when it can be stored.
    func problems(zones: ZoneCatalog) -> [String] {
        var found = [id.problem, policy.problem].compactMap { $0 }
        do {
            _ = try trigger.rule(for: id.rawValue, zones: zones)
        } catch {
            found.append(error.message)
        }
        do {
            if let problem = try template?().problem() { found.append(problem) }
        } catch {
            found.append("its job cannot be encoded: \(error)")
        }
        return found.map { "\(id): \($0)" }
    }
}

extension ScheduleRecord.Definition {
    /// A digest of all of it, the same in every process.
    func digest() throws -> String {
        let text = String(decoding: try PayloadCoder.canonical(self), as: UTF8.self)
        return String(ScheduleHash.value(of: text), radix: 16)
    }
}
