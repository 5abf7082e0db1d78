// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Where a job is in its life, and the one table of legal moves.
///
/// Five states wait or run, five are final. "Held" is not a state but a flag (``Hold``), so that releasing a
/// job never has to guess where it was.
public enum JobState: Int, Sendable, Hashable, Codable, CaseIterable {
    /// Waits for another job: a follow-up, later a workflow step. Leaves when what it waits for is final.
    case waiting = 0
    /// Due later because somebody asked for it: a first delay or a snooze.
    case scheduled = 1
    /// Due later because an attempt failed.
    case retrying = 2
    /// May be claimed now.
    case ready = 3
    /// Claimed under a lease.
    case running = 4
    /// Final: the handler returned.
    case succeeded = 5
    /// Final: out of attempts or time, failed for good, poison or undecodable; the dead letter.
    case failed = 6
    /// Final: somebody asked for it.
    case cancelled = 7
    /// Final: was not started in time.
    case expired = 8
    /// Final: a workflow branch that was not taken.
    case skipped = 9
}

extension JobState {
    /// True for the five states that nothing but an operator leaves.
    public var isFinal: Bool { self >= .succeeded }

    /// True for the states in which nobody runs the job and it is not final.
    public var isPending: Bool { self < .running }

    /// The word used in JSON, on the command line and in the dashboard.
    public var word: String { String(describing: self) }

    /// The state with this ``word``; `nil` for any other text.
    public init?(word: String) {
        guard let state = JobState.allCases.first(where: { $0.word == word }) else { return nil }
        self = state
    }

    /// The states this one may move to. Moves out of a final state happen only by an operator's retry, which
    /// starts a new run. Every store refuses every other move.
    public var successors: Set<JobState> {
        switch self {
        case .waiting: [.scheduled, .ready, .skipped, .cancelled, .expired]
        case .scheduled: [.ready, .cancelled, .expired]
        case .retrying: [.ready, .cancelled, .expired]
        case .ready: [.running, .scheduled, .cancelled, .expired]
        case .running: [.succeeded, .failed, .cancelled, .retrying, .scheduled, .ready]
        case .succeeded, .failed, .cancelled, .expired, .skipped: [.ready, .scheduled]
        }
    }

    /// Whether ``successors`` holds `next`.
    public func canMove(to next: JobState) -> Bool {
        successors.contains(next)
    }
}

extension JobState: Comparable {
    public static func < (lhs: JobState, rhs: JobState) -> Bool { lhs.rawValue < rhs.rawValue }
}
