// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    public func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport {
        try await write { session in try session.register(worker) }
    }

    public func retire(_ worker: WorkerID) async throws {
        try await write { session in try session.retire(worker) }
    }

    public func beat(_ beat: Beat) async throws -> BeatAnswer {
        let search = beat.accountedThrough == nil ? .no : shared.searches.next(at: clock.uptime)
        var (answer, unlisted) = try await send(beat, searching: search == .inTheBeat)
        if search == .apart, answer.isKnown {
            // Takes long lately, and the worker must not seem silent meanwhile.
            unlisted = (try? await send(beat, searching: true).1) ?? []
        }
        if !unlisted.isEmpty, let accounted = beat.accountedThrough {
            answer.released = try await write { [unlisted] session in
                try session.giveBack(unlisted, of: beat, through: accounted)
            }
        }
        return answer
    }

    /// - Parameter searching: Whether to look for jobs that run for the worker although it does not list them.
    private func send(_ beat: Beat, searching: Bool) async throws -> (BeatAnswer, [JobID]) {
        let values: [PostgresValue] = [
            moment, .uuid(JobID(bytes: beat.worker.bytes)), .uuids(beat.held.map(\.job)),
            .ints(beat.held.map { $0.worker == beat.worker ? $0.epoch : -1 }),
            .int(searching ? beat.accountedThrough?.microseconds : nil),
        ]
        let began = clock.uptime
        defer { if searching { shared.searches.took(clock.uptime - began, at: clock.uptime) } }
        return try await commit(on: vitalPool) { link, shared in
            let result = try link.query(shared.statements[PostgresQuery.beat.rawValue], values)
            return Self.read(result, for: beat)
        }
    }

    private static func read(_ result: PostgresResult, for beat: Beat) -> (BeatAnswer, [JobID]) {
        var answer = BeatAnswer(isKnown: true, at: .epoch)
        var unlisted: [JobID] = []
        for row in 0..<result.count {
            switch result.int(row, 0) {
            case 0: answer.at = result.instant(row, 1)
            case 1:
                let place = result.int(row, 2) - 1
                guard beat.held.indices.contains(place) else { continue }
                if let text = result.optionalText(row, 4) {
                    answer.cancels[beat.held[place].job] = CancelRequest(readFrom: text, at: answer.at)
                } else {
                    answer.lost.append(beat.held[place])
                }
            case 2: if let id = result.id(row, 3) { unlisted.append(id) }
            default: answer = BeatAnswer(isKnown: false, lost: beat.held, at: result.instant(row, 1))
            }
        }
        return (answer, unlisted)
    }
}

extension CancelRequest {
    /// A wish to stop is one even if it cannot be read.
    fileprivate init(readFrom text: String, at now: Timestamp) {
        let read = FlatJSON.list(text).flatMap { try? CancelRequest(stored: $0) }
        self = read ?? CancelRequest(actor: "unknown", reason: "the stored request cannot be read", at: now)
    }
}

/// A worker as its row says it.
struct PostgresWorker {
    var registration: WorkerRegistration
    var startedAt: Timestamp
    var lastSeen: Timestamp
    var isDead: Bool
    var running: Int
}

extension PostgresSession {
    /// The most rows one bite changes.
    static let bite = 1000

    func register(_ worker: WorkerRegistration) throws -> MaintenanceReport {
        let names = Dictionary(worker.names.map { ($0.rawValue, "\($1)") }) { first, _ in first }
        let slots = Dictionary(worker.slots.map { ($0.rawValue, "\($1)") }) { first, _ in first }
        try query(
            .putWorker,
            [
                .uuid(JobID(bytes: worker.id.bytes)), .text(worker.host.storable), .int(Int64(worker.pid)),
                .text(worker.version.storable), .text(FlatJSON.text(names)), .text(FlatJSON.text(slots)),
                .int(now.microseconds),
            ]
        )
        return try rescue(silence: nil, sparing: worker.id)
    }

    func retire(_ worker: WorkerID) throws {
        let ids = try running(of: worker, limit: nil)
        for var job in try lockOrHold(ids) where job.record.state == .running && job.record.worker == worker {
            try settle(&job, .released)
        }
        try query(.deleteWorkers, [.uuids([JobID(bytes: worker.bytes)])])
    }

    /// Gives back what runs for a worker that does not know it.
    func giveBack(_ ids: [JobID], of beat: Beat, through accounted: Timestamp) throws -> Int {
        var count = 0
        for var job in try lockOrHold(ids, passing: true) {
            guard job.record.state == .running, job.record.worker == beat.worker, let startedAt = job.record.startedAt,
                beat.accounts(for: startedAt, through: accounted, at: now)
            else { continue }
            let settled = try change(&job) { $0.releaseUnlisted(at: now) }
            effects.count(.released, lane: job.lane, at: now)
            try keep(settled, of: job)
            count += 1
        }
        return count
    }

    /// What a worker holds, in the order of storing.
    private func running(of worker: WorkerID, limit: Int?) throws -> [JobID] {
        let result = try query(
            .runningOfWorker,
            [.uuid(JobID(bytes: worker.bytes)), .int(limit.map(Int64.init))]
        )
        return (0..<result.count).compactMap { result.id($0, 0) }
    }

    /// A worker whose names or slots cannot be read is there and can run nothing.
    ///
    /// - Parameter counting: Whether to count what each of them runs; 0 without it.
    func allWorkers(counting: Bool = false) throws -> [PostgresWorker] {
        let result = try query(.allWorkers, [.bool(counting)])
        return (0..<result.count)
            .compactMap { row in
                guard let id = result.id(row, 0).flatMap({ WorkerID(bytes: $0.bytes) }) else { return nil }
                let (names, slots) = (
                    FlatJSON.dictionary(result.text(row, 4)), FlatJSON.dictionary(result.text(row, 5))
                )
                if names == nil || slots == nil { shared.unreadable.note("worker \(id)", "its names or slots") }
                let registration = WorkerRegistration(
                    id: id,
                    host: result.text(row, 1),
                    pid: result.int(row, 2),
                    version: result.text(row, 3),
                    names: Dictionary((names ?? [:]).map { (JobName($0), Int($1) ?? 0) }) { first, _ in first },
                    slots: Dictionary((slots ?? [:]).map { (QueueName($0), Int($1) ?? 0) }) { first, _ in first }
                )
                return PostgresWorker(
                    registration: registration,
                    startedAt: result.instant(row, 6),
                    lastSeen: result.instant(row, 7),
                    isDead: !result.isNull(row, 8),
                    running: result.int(row, 9)
                )
            }
    }

    /// Gives back the jobs of workers that are gone or, with `silence`, silent for longer, but not of the one that
    /// asks; see ``/ErrandCore/MaintenanceTask/rescue(silence:sparing:)``.
    ///
    /// Starts from job rows, so that a job whose worker has no row any more is found as well.
    func rescue(silence: Duration?, sparing asking: WorkerID?) throws -> MaintenanceReport {
        var report = MaintenanceReport()
        var live: Set<WorkerID> = []
        var dead: [WorkerID] = []
        let workers = try allWorkers()
        // A beat from the future was written before the clock was set back: it counts from now on.
        for worker in workers where worker.lastSeen > now {
            try query(.touchWorker, [.uuid(JobID(bytes: worker.registration.id.bytes)), .int(now.microseconds)])
        }
        let wasSilent = { (worker: PostgresWorker) in silence.map { self.now - worker.lastSeen > $0 } ?? false }
        // The one that asks lives: when it was silent itself, time has jumped and silence proves nothing.
        let judgesSilence = !workers.contains { $0.registration.id == asking && !$0.isDead && wasSilent($0) }
        for worker in workers {
            let id = worker.registration.id
            guard worker.isDead || (judgesSilence && wasSilent(worker)) else {
                live.insert(id)
                continue
            }
            dead.append(id)
            guard !worker.isDead else { continue }
            try query(.buryWorker, [.uuid(JobID(bytes: id.bytes)), .int(now.microseconds)])
            report.deadWorkers.append(id)
        }
        let holders = try query(.holders, [.uuids(live.map { JobID(bytes: $0.bytes) })])
        for row in 0..<holders.count {
            guard let holder = holders.id(row, 0).flatMap({ WorkerID(bytes: $0.bytes) }), !live.contains(holder) else {
                continue
            }
            let wanted = Self.bite - report.rescued.count - report.affected
            let ids = try running(of: holder, limit: wanted + 1)
            try rescue(ids.prefix(wanted), of: holder, into: &report)
            if ids.count > wanted {
                report.hasMore = true
                return report
            }
        }
        if !dead.isEmpty { try query(.deleteWorkers, [.uuids(dead.map { JobID(bytes: $0.bytes) })]) }
        return report
    }

    private func rescue(
        _ ids: ArraySlice<JobID>,
        of holder: WorkerID,
        into report: inout MaintenanceReport
    ) throws {
        guard !ids.isEmpty else { return }
        let before = setAsideCount
        for var job in try lockOrHold(Array(ids), passing: true) {
            guard job.record.state == .running, job.record.worker == holder else { continue }
            let settled = try change(&job) { $0.rescue(at: now) }
            effects.count(.crashed, lane: job.lane, at: now)
            try keep(settled, of: job)
            report.rescued[job.record.id] = job.record.state
        }
        report.affected += setAsideCount - before
    }
}
