// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// One try of a job, as it is kept.
///
/// A job that succeeds at its first try writes none: its own times tell the story. Every failed, crashed,
/// snoozed or released attempt does, and the newest ``kept`` of a job stay.
public struct Attempt: Sendable, Hashable, Codable {
    /// How an attempt ended.
    public enum Ending: String, Sendable, Hashable, Codable, CaseIterable {
        /// The handler returned.
        case succeeded
        /// The handler threw and the failure was counted.
        case failed
        /// It ran longer than its timeout; counted as a failure.
        case timedOut
        /// It asked to run again later; not counted.
        case snoozed
        /// It was given back at shutdown; not counted.
        case released
        /// Its worker died or lost its lease; counted in `crashes`.
        case crashed
        /// It stopped because somebody cancelled the job.
        case cancelled
        /// The payload could not be decoded; not counted.
        case undecodable
    }

    /// Which run of the job; an operator's retry starts a new one.
    public var run: Int
    /// The ordinal within the run, from 1. A snoozed or released attempt is given back, so the next one has
    /// the same number.
    public var number: Int
    /// The lease's fencing number, unique among all attempts of the job.
    public var epoch: Int64
    /// Who ran it.
    public var worker: WorkerID
    /// When it was claimed.
    public var startedAt: Timestamp
    /// When it ended.
    public var endedAt: Timestamp
    /// How it ended.
    public var ending: Ending
    /// The error, for the endings that have one.
    public var error: StoredError?

    /// The attempt with these facts.
    public init(
        run: Int,
        number: Int,
        epoch: Int64,
        worker: WorkerID,
        startedAt: Timestamp,
        endedAt: Timestamp,
        ending: Ending,
        error: StoredError? = nil
    ) {
        self.run = run
        self.number = number
        self.epoch = epoch
        self.worker = worker
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.ending = ending
        self.error = error
    }

    /// How many attempts of a job a store keeps: the newest 50.
    public static let kept = 50
}
