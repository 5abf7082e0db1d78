// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a job that a schedule enqueued knows of its tick.
public struct Tick: Sendable, Hashable {
    /// Whose.
    public var schedule: ScheduleID
    /// What its decision is kept under; the job's own key for whatever it does outside.
    public var key: TickKey
    /// The nominal time: what the rule named, not when anything ran.
    public var nominal: Timestamp
    /// The nominal time before, so that the job's span of data is `(previous, nominal]`; `nil` when there is none.
    public var previous: Timestamp?
    /// The nominal time after; `nil` when there is none.
    public var next: Timestamp?
    /// Whether it was on time, missed, asked for again or asked for now.
    public var kind: TickKind
    /// When it was decided, in store time.
    public var decidedAt: Timestamp

    /// The facts of a tick.
    public init(
        schedule: ScheduleID,
        key: TickKey,
        nominal: Timestamp,
        previous: Timestamp? = nil,
        next: Timestamp? = nil,
        kind: TickKind,
        decidedAt: Timestamp
    ) {
        self.schedule = schedule
        self.key = key
        self.nominal = nominal
        self.previous = previous
        self.next = next
        self.kind = kind
        self.decidedAt = decidedAt
    }

    /// How long after its nominal time it was decided; never negative.
    public var lateness: Duration { max(decidedAt - nominal, .zero) }

    /// The header that carries it to the handler. Blanks stand between its parts; a key has none.
    public static let header = "errand-tick"

    /// The header's value.
    package var headerValue: String {
        let instants = [nominal, previous, next, decidedAt].map { $0.map { "\($0.microseconds)" } ?? "-" }
        return ([schedule.rawValue, kind.rawValue] + instants + [key.rawValue]).joined(separator: " ")
    }

    /// The tick in a header's value; `nil` when it is none.
    package init?(headerValue: String) {
        let parts = headerValue.split(separator: " ", maxSplits: 6, omittingEmptySubsequences: false)
        guard parts.count == 7, let kind = TickKind(rawValue: String(parts[1])) else { return nil }
        let instants = parts[2..<6].map { Int64($0).map(Timestamp.init(microseconds:)) }
        guard let nominal = instants[0], let decidedAt = instants[3] else { return nil }
        self.init(
            schedule: ScheduleID(String(parts[0])),
            key: TickKey(rawValue: String(parts[6])),
            nominal: nominal,
            previous: instants[1],
            next: instants[2],
            kind: kind,
            decidedAt: decidedAt
        )
    }

    /// The job's id: the same whoever makes it, so that a tick cannot have two even when a store forgot the first.
    package var jobID: JobID {
        let parts = (schedule.rawValue, key.rawValue)
        let high = ScheduleHash.value(of: parts.0, "id", parts.1)
        let low = ScheduleHash.value(of: parts.1, "id", parts.0)
        let milliseconds = UInt64(clamping: nominal.milliseconds) & 0xFFFF_FFFF_FFFF
        return JobID(
            high: milliseconds << 16 | 0x7000 | (high & 0x0FFF),
            low: 0x8000_0000_0000_0000 | (low & 0x3FFF_FFFF_FFFF_FFFF)
        )
    }
}

extension NewJob {
    /// The job for a tick, made from what a definition or a builder said. Its `start` becomes the nominal time and
    /// this delay, and it expires by the policy.
    package func placed(on tick: Tick, delay: Duration, policy: SchedulePolicy) -> NewJob {
        var job = self
        job.id = tick.jobID
        let isTimed = tick.kind == .regular || tick.kind == .catchUp
        job.start = isTimed ? .at(tick.nominal + delay) : .now
        if isTimed, let limit = policy.expiresAfter { job.startWithin = tick.nominal + limit - tick.decidedAt }
        job.headers[Tick.header] = tick.headerValue
        return job
    }
}
