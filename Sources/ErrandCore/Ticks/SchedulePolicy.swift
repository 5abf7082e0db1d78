// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a schedule does when things are not as usual: it was late, its last job is not done, everybody fires at once.
public struct SchedulePolicy: Sendable, Hashable {
    /// What becomes of ticks that nobody decided in time, because every process was down or the store was away.
    public enum CatchUp: Sendable, Hashable, Codable {
        /// One job, for the newest; the older ones are coalesced into it. The default.
        case latest
        /// One job, for the oldest; the newer ones are coalesced into it.
        case earliest
        /// A job for each of the newest `max`, oldest first; older ones are skipped. 1 to 1,000.
        case all(max: Int = 100)
        /// None.
        case skip
    }

    /// What becomes of a tick while an earlier job of the schedule is queued, running or waiting for a retry.
    public enum Overlap: Sendable, Hashable, Codable {
        /// It is skipped. The default: workers that were down for an hour find one queued job, not sixty.
        case skip
        /// Its job is enqueued while fewer than `max` are not finished. 1 to 1,000.
        case allow(max: Int)
        /// It waits; when another comes, that one waits in its place.
        case queueOne
        /// It waits in line, `max` at most; further ones are skipped. 1 to 1,000.
        case queueAll(max: Int = 100)
        /// The job under way is asked to stop, and the tick's job is enqueued when it has.
        case cancelRunning
    }

    /// What becomes of missed ticks; ``CatchUp/latest``.
    public var catchUp: CatchUp
    /// Ticks that are missed by more than this are skipped whatever ``catchUp`` says; `nil`, the default, for no limit.
    public var catchUpWindow: Duration?
    /// How late a tick may be decided and still be on time; 60 s.
    public var grace: Duration
    /// What becomes of a tick while an earlier job is not done; ``Overlap/skip``.
    public var overlap: Overlap
    /// Each job is ready up to this long after its nominal time: a different delay each tick, the same in every
    /// process; zero. Never beyond the next nominal time.
    public var jitter: Duration
    /// Each job is ready up to this long after its nominal time: the same delay each tick, another for every schedule;
    /// zero. Never beyond the next nominal time.
    public var stagger: Duration
    /// A job that has not started this long after its nominal time is `expired`; `nil`, the default, for never.
    public var expiresAfter: Duration?

    /// A policy.
    public init(
        catchUp: CatchUp = .latest,
        catchUpWindow: Duration? = nil,
        grace: Duration = .seconds(60),
        overlap: Overlap = .skip,
        jitter: Duration = .zero,
        stagger: Duration = .zero,
        expiresAfter: Duration? = nil
    ) {
        self.catchUp = catchUp
        self.catchUpWindow = catchUpWindow
        self.grace = grace
        self.overlap = overlap
        self.jitter = jitter
        self.stagger = stagger
        self.expiresAfter = expiresAfter
    }

    /// The defaults.
    public static let standard = SchedulePolicy()

    /// The defaults but for what `change` sets: `.with { $0.overlap = .queueOne }`.
    public static func with(_ change: (inout SchedulePolicy) -> Void) -> SchedulePolicy {
        var policy = SchedulePolicy()
        change(&policy)
        return policy
    }

    /// The most jobs that ``CatchUp/all(max:)``, ``Overlap/allow(max:)`` and ``Overlap/queueAll(max:)`` may name.
    public static let most = 1000

    /// What makes no sense, as a sentence that says what to change; `nil` when all is well.
    public var problem: String? {
        switch catchUp {
        case .all(let max) where !(1...Self.most).contains(max):
            return "catchUp is all(max: \(max)); write 1 to \(Self.most)"
        default: break
        }
        switch overlap {
        case .allow(let max) where !(1...Self.most).contains(max):
            return "overlap is allow(max: \(max)); write 1 to \(Self.most)"
        case .queueAll(let max) where !(1...Self.most).contains(max):
            return "overlap is queueAll(max: \(max)); write 1 to \(Self.most)"
        default: break
        }
        for (name, value) in [("jitter", jitter), ("stagger", stagger), ("grace", grace)] where value < .zero {
            return "\(name) is \(value); write zero or more"
        }
        for (name, value) in [("catchUpWindow", catchUpWindow), ("expiresAfter", expiresAfter)] {
            if let value, value <= .zero { return "\(name) is \(value); write a positive duration or none" }
        }
        return nil
    }

    /// What is allowed and perhaps not meant; `nil` when there is nothing to say.
    public var warning: String? {
        guard case .all = catchUp, overlap == .skip else { return nil }
        return "catchUp .all with overlap .skip: the first job caught up with keeps the others from running; "
            + "use overlap .queueAll"
    }
}

extension SchedulePolicy: Codable {
    private enum Key: String, CodingKey {
        case catchUp, catchUpWindow, grace, overlap, jitter, stagger, expiresAfter
    }

    /// Reads a stored policy: what it does not name is as by default, durations are in microseconds.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Key.self)
        func duration(_ key: Key) throws -> Duration? {
            try fields.decodeIfPresent(Int64.self, forKey: key).map { .microseconds($0) }
        }
        let standard = SchedulePolicy.standard
        self.init(
            catchUp: try fields.decodeIfPresent(CatchUp.self, forKey: .catchUp) ?? standard.catchUp,
            catchUpWindow: try duration(.catchUpWindow),
            grace: try duration(.grace) ?? standard.grace,
            overlap: try fields.decodeIfPresent(Overlap.self, forKey: .overlap) ?? standard.overlap,
            jitter: try duration(.jitter) ?? standard.jitter,
            stagger: try duration(.stagger) ?? standard.stagger,
            expiresAfter: try duration(.expiresAfter)
        )
    }

    /// Writes what differs from the default.
    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        let standard = SchedulePolicy.standard
        if catchUp != standard.catchUp { try fields.encode(catchUp, forKey: .catchUp) }
        if overlap != standard.overlap { try fields.encode(overlap, forKey: .overlap) }
        if grace != standard.grace { try fields.encode(grace.wholeMicroseconds, forKey: .grace) }
        if jitter != standard.jitter { try fields.encode(jitter.wholeMicroseconds, forKey: .jitter) }
        if stagger != standard.stagger { try fields.encode(stagger.wholeMicroseconds, forKey: .stagger) }
        try fields.encodeIfPresent(catchUpWindow?.wholeMicroseconds, forKey: .catchUpWindow)
        try fields.encodeIfPresent(expiresAfter?.wholeMicroseconds, forKey: .expiresAfter)
    }
}
