// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport {
        try await write { session, now in try session.register(worker, at: now) }
    }

    public func retire(_ worker: WorkerID) async throws {
        try await write { session, now in try session.retire(worker, at: now) }
    }

    public func beat(_ beat: Beat) async throws -> BeatAnswer {
        try await write(rows: beat.held.count) { session, now in try session.beat(beat, at: now) }
    }
}

/// A worker as its row says it.
struct SQLiteWorker {
    var number: Int64
    var registration: WorkerRegistration
    var startedAt: Timestamp
    var lastSeen: Timestamp
    var isLocked: Bool
    var isDead: Bool
}

extension SQLiteSession {
    func register(_ worker: WorkerRegistration, at now: Timestamp) throws -> MaintenanceReport {
        let isLocked = options.locks?.take(worker.id) ?? false
        let put = try command(.putWorker)
        put.bind(1, try addNumber(of: worker.id))
        put.bind(2, worker.host)
        put.bind(3, worker.pid)
        put.bind(4, worker.version)
        put.bind(5, FlatJSON.text(Dictionary(uniqueKeysWithValues: worker.names.map { ($0.rawValue, "\($1)") })))
        put.bind(6, FlatJSON.text(Dictionary(uniqueKeysWithValues: worker.slots.map { ($0.rawValue, "\($1)") })))
        put.bind(7, now.microseconds)
        put.bind(8, isLocked ? 1 : 0)
        try put.run()
        return try rescue(silence: nil, sparing: worker.id, at: now)
    }

    func retire(_ id: WorkerID, at now: Timestamp) throws {
        guard let number = try number(of: id) else { return }
        for running in try running(of: number) {
            guard var job = try jobOrHold(row: running.row, at: now) else { continue }
            try settle(&job, .released, at: now)
        }
        try run(.deleteWorker, of: number)
        effects.goneWorkers.append(id)
    }

    func beat(_ beat: Beat, at now: Timestamp) throws -> BeatAnswer {
        guard let number = try liveWorker(beat.worker) else {
            return BeatAnswer(isKnown: false, lost: beat.held, at: now)
        }
        try touch(number, at: now)
        var answer = BeatAnswer(isKnown: true, at: now)
        var listed: Set<Int64> = []
        for lease in beat.held {
            guard let (row, cancel) = try check(lease, of: beat.worker, number: number, at: now) else {
                answer.lost.append(lease)
                continue
            }
            listed.insert(row)
            if let cancel { answer.cancels[lease.job] = cancel }
        }
        guard let accounted = beat.accountedThrough else { return answer }
        for running in try running(of: number) where !listed.contains(running.row) {
            guard beat.accounts(for: running.startedAt, through: accounted, at: now) else { continue }
            guard var job = try jobOrHold(row: running.row, at: now) else { continue }
            let settled = try change(&job, at: now) { $0.releaseUnlisted(at: now) }
            effects.count(.released, lane: job.lane, at: now)
            try keep(settled, of: job, at: now)
            answer.released += 1
        }
        return answer
    }

    /// The row of a lease that holds, with the wish that it stop.
    private func check(
        _ lease: Lease,
        of worker: WorkerID,
        number: Int64,
        at now: Timestamp
    ) throws -> (row: Int64, cancel: CancelRequest?)? {
        guard lease.worker == worker else { return nil }
        for row in [lease.row, nil] {
            guard let row = try row ?? self.row(of: lease.job) else { continue }
            let find = try command(.leaseByRow)
            find.bind(1, row)
            let found = try find.first { found -> (isIt: Bool, holds: Bool, cancel: String?) in
                let isIt = found.halves(0).map { JobID(high: $0.high, low: $0.low) == lease.job } ?? false
                let holds = found.int64(1) == lease.epoch && found.int64(2) == number && found.int(3) == 4
                return (isIt, holds, found.optionalText(4))
            }
            guard let found, found.isIt else { continue }
            guard found.holds else { return nil }
            return (row, found.cancel.map { wish(stored: $0, at: now) })
        }
        return nil
    }

    /// A wish to stop is one even if it cannot be read.
    private func wish(stored text: String, at now: Timestamp) -> CancelRequest {
        FlatJSON.list(text).flatMap { try? CancelRequest(stored: $0) }
            ?? CancelRequest(actor: "unknown", reason: "the stored request cannot be read", at: now)
    }

    private func touch(_ worker: Int64, at now: Timestamp) throws {
        let touch = try command(.touchWorker)
        touch.bind(1, worker)
        touch.bind(2, now.microseconds)
        try touch.run()
    }

    /// What a worker holds, in the order of the rows.
    func running(of worker: Int64) throws -> [(row: Int64, startedAt: Timestamp)] {
        let find = try command(.runningOfWorker)
        find.bind(1, worker)
        return try find.all { (row: $0.int64(0), startedAt: Timestamp(microseconds: $0.int64(3))) }
    }

    /// A worker whose identity cannot be read is left out, so that its jobs are rescued; one that says what it can
    /// run in words this build does not know is there and can run nothing.
    func allWorkers() throws -> [SQLiteWorker] {
        try command(.allWorkers)
            .all { row -> SQLiteWorker? in
                guard let id = WorkerID(bytes: row.bytes(1)) else {
                    options.unreadable.note("worker \(row.int64(0))", "its identity")
                    return nil
                }
                let (names, slots) = (FlatJSON.dictionary(row.text(5)), FlatJSON.dictionary(row.text(6)))
                if names == nil || slots == nil { options.unreadable.note("worker \(id)", "its names or slots") }
                let registration = WorkerRegistration(
                    id: id,
                    host: row.text(2),
                    pid: row.int(3),
                    version: row.text(4),
                    names: Dictionary(uniqueKeysWithValues: (names ?? [:]).map { (JobName($0), Int($1) ?? 0) }),
                    slots: Dictionary(uniqueKeysWithValues: (slots ?? [:]).map { (QueueName($0), Int($1) ?? 0) })
                )
                return SQLiteWorker(
                    number: row.int64(0),
                    registration: registration,
                    startedAt: Timestamp(microseconds: row.int64(7)),
                    lastSeen: Timestamp(microseconds: row.int64(8)),
                    isLocked: row.int(9) != 0,
                    isDead: !row.isNull(10)
                )
            }
            .compactMap(\.self)
    }

    /// Gives back the jobs of workers that are gone or, with `silence`, silent for longer, but not of the one that
    /// asks; see ``/ErrandCore/MaintenanceTask/rescue(silence:sparing:)``.
    ///
    /// Starts from job rows, so that a job whose worker has no row any more is found as well.
    func rescue(silence: Duration?, sparing asking: WorkerID?, at now: Timestamp) throws -> MaintenanceReport {
        var report = MaintenanceReport()
        var live: Set<Int64> = []
        var dead: [Int64: WorkerID] = [:]
        let workers = try allWorkers()
        // A beat from the future was written before the clock was set back: it counts from now on.
        for worker in workers where worker.lastSeen > now { try touch(worker.number, at: now) }
        let wasSilent = { (worker: SQLiteWorker) in silence.map { now - worker.lastSeen > $0 } ?? false }
        // The one that asks lives: when it was silent itself, time has jumped and silence proves nothing.
        let judgesSilence = !workers.contains { $0.registration.id == asking && !$0.isDead && wasSilent($0) }
        for worker in workers {
            let isSilent = judgesSilence && wasSilent(worker)
            let isGone = worker.isLocked && options.locks?.isGone(worker.registration.id) ?? false
            if worker.isDead || isSilent || isGone {
                dead[worker.number] = worker.registration.id
                guard !worker.isDead else { continue }
                let bury = try command(.buryWorker)
                bury.bind(1, worker.number)
                bury.bind(2, now.microseconds)
                try bury.run()
                report.deadWorkers.append(worker.registration.id)
            } else {
                live.insert(worker.number)
            }
        }
        var last: Int64 = -1
        while let holder = try runningWorker(after: last) {
            last = holder
            guard !live.contains(holder) else { continue }
            for running in try running(of: holder) {
                guard report.rescued.count + report.affected < Self.bite else {
                    report.hasMore = true
                    return report
                }
                guard var job = try jobOrHold(row: running.row, at: now) else {
                    report.affected += 1
                    continue
                }
                let settled = try change(&job, at: now) { $0.rescue(at: now) }
                effects.count(.crashed, lane: job.lane, at: now)
                try keep(settled, of: job, at: now)
                report.rescued[job.record.id] = job.record.state
            }
        }
        for (number, id) in dead {
            try run(.deleteWorker, of: number)
            effects.goneWorkers.append(id)
        }
        return report
    }

    private func runningWorker(after last: Int64) throws -> Int64? {
        let find = try command(.runningAfter)
        find.bind(1, last)
        return try find.first { $0.int64(0) }
    }
}
