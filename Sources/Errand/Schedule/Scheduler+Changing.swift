// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension Scheduler {
    /// Makes a schedule at run time, or makes another of the one that has the name. Its first tick is in the future; a
    /// single instant that is past fires at once unless its policy skips it.
    ///
    /// When it is changed, what is due by then is decided by the old definition first; nothing of the past is run again.
    /// - Parameters:
    ///   - id: Its name.
    ///   - trigger: When it fires.
    ///   - policy: What happens when things are not as usual.
    ///   - job: What is enqueued at each tick.
    ///   - options: What the job wants different from its type; `id` and `start` are the schedule's own.
    ///   - revision: The ``/ErrandCore/ScheduleRecord/revision`` that must be there, 0 for none; `nil` for any.
    ///   - actor: Who; kept in the audit.
    /// - Returns: The schedule.
    /// - Throws: ``ErrandError`` with code `invalidSchedule`, whose message says what to write instead, or
    ///   `scheduleConflict`; ``/ErrandCore/StoreError``.
    @discardableResult
    public func put<J: Job>(
        _ id: ScheduleID,
        _ trigger: Trigger,
        policy: SchedulePolicy = .standard,
        job: J,
        options: EnqueueOptions = EnqueueOptions(),
        ifRevision revision: Int? = nil,
        actor: String = "app"
    ) async throws -> ScheduleRecord {
        let declared = ScheduleDefinition(id, trigger, policy: policy, job: job, options: options)
        let problems = declared.problems(zones: rules.zones)
        guard problems.isEmpty else { throw ErrandError(.invalidSchedule, problems.joined(separator: "; ")) }
        let definition = try declared.definition()
        let hash = try definition.digest()
        let rule = try rules.rule(of: trigger, for: id)
        return try await insisting(on: id) { standing, now in
            if let revision, revision != standing?.record.revision ?? 0 {
                throw ErrandError(
                    .scheduleConflict,
                    "schedule \(id) has revision \(standing?.record.revision ?? 0), not \(revision); look at it again"
                )
            }
            let line = AuditEntry.schedule(id, "put", actor: actor, reason: "", at: now)
            guard let standing else {
                let record = ScheduleRecord.new(
                    id: id,
                    source: .dynamic,
                    definition: definition,
                    hash: hash,
                    build: 0,
                    rule: rule,
                    at: now
                )
                return .change(ScheduleChange(id: id, expected: 0, record: record, audit: line, wakesSchedulers: true))
            }
            guard standing.record.source == .dynamic else {
                throw ErrandError(.scheduleConflict, "schedule \(id) is the program's own; choose another name")
            }
            if standing.record.hash == hash, standing.record.state != .completed { return .keep(standing.record) }
            var planner = try await self.planner(standing, at: now)
            return .plan(try planner.edit(to: definition, hash: hash, build: 0, rule: rule), line)
        }
    }

    /// Deletes a schedule that was made at run time. Jobs that it enqueued stay, and so do its decisions for a while.
    /// - Returns: Whether it was there.
    /// - Throws: ``ErrandError`` with code `scheduleConflict` for one of the program; ``/ErrandCore/StoreError``.
    @discardableResult
    public func remove(_ id: ScheduleID, reason: String = "", actor: String = "app") async throws -> Bool {
        let answer = try await insist(on: id) { standing, now in
            guard let standing else { return nil }
            guard standing.record.source == .dynamic else {
                throw ErrandError(
                    .scheduleConflict,
                    "schedule \(id) is the program's own; pause it, or take it out there"
                )
            }
            let line = AuditEntry.schedule(id, "remove", actor: actor, reason: reason, at: now)
            return .change(
                ScheduleChange(
                    id: id,
                    expected: standing.record.version,
                    record: nil,
                    audit: line,
                    wakesSchedulers: true
                )
            )
        }
        return answer != nil
    }

    /// Stops its ticks; jobs that it enqueued stay. Pausing again changes the note and the end.
    /// - Parameters:
    ///   - id: Its name.
    ///   - note: Why; kept with the pause and in the audit.
    ///   - until: When it ends by itself; `nil` for never.
    ///   - actor: Who.
    /// - Throws: ``ErrandError`` with code `scheduleNotFound`; ``/ErrandCore/StoreError``.
    public func pause(_ id: ScheduleID, note: String, until: Timestamp? = nil, actor: String = "app") async throws {
        _ = try await insisting(on: id) { standing, now in
            var planner = try await self.planner(try Self.need(standing, id), at: now)
            let line = AuditEntry.schedule(id, "pause", actor: actor, reason: note, at: now)
            return .plan(try planner.pause(by: actor, note: note, until: until), line)
        }
    }

    /// Lets its ticks fire again, from now on.
    /// - Parameters:
    ///   - id: Its name.
    ///   - catchUp: Whether ticks of the pause are decided by the policy, as after an outage; else they are skipped.
    ///   - reason: Why; kept in the audit.
    ///   - actor: Who.
    /// - Throws: ``ErrandError`` with code `scheduleNotFound`; ``/ErrandCore/StoreError``.
    public func resume(
        _ id: ScheduleID,
        catchUp: Bool = false,
        reason: String = "",
        actor: String = "app"
    ) async throws {
        _ = try await insisting(on: id) { standing, now in
            let standing = try Self.need(standing, id)
            guard standing.record.state == .paused else { return .keep(standing.record) }
            var planner = try await self.planner(standing, at: now)
            let line = AuditEntry.schedule(id, "resume", actor: actor, reason: reason, at: now)
            return .plan(planner.resume(catchingUp: catchUp), line)
        }
    }

    /// Lets an operator's trigger take the place of the definition's, across releases; `nil` ends that.
    /// - Throws: ``ErrandError`` with code `invalidSchedule` or `scheduleNotFound`; ``/ErrandCore/StoreError``.
    public func override(
        _ id: ScheduleID,
        with trigger: Trigger?,
        reason: String = "",
        actor: String = "app"
    ) async throws {
        _ = try await insisting(on: id) { standing, now in
            let standing = try Self.need(standing, id)
            let rule: ScheduleRule
            do throws(TriggerError) {
                rule = try self.rules.rule(of: trigger ?? standing.record.definition.trigger, for: id)
            } catch {
                throw ErrandError(.invalidSchedule, "\(id): \(error.message)")
            }
            var planner = try await self.planner(standing, at: now)
            let line = AuditEntry.schedule(id, "override", actor: actor, reason: reason, at: now)
            return .plan(try planner.override(with: trigger, rule: rule), line)
        }
    }

    static func need(_ standing: ScheduleStanding?, _ id: ScheduleID) throws -> ScheduleStanding {
        guard let standing, standing.record.state != .retired else {
            throw ErrandError(.scheduleNotFound, "there is no schedule \(id); list them to see the names")
        }
        return standing
    }
}

extension AuditEntry {
    /// The line for something that somebody did to a schedule.
    static func schedule(_ id: ScheduleID, _ word: String, actor: String, reason: String, at now: Timestamp)
        -> AuditEntry
    {
        AuditEntry(
            at: now,
            actor: actor,
            action: "\(word) schedule",
            target: "schedule \(id)",
            reason: reason,
            changed: 1
        )
    }
}
