// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// When a beat looks for jobs that run for its worker although the worker does not list them: the answer to their claim was
/// lost.
///
/// The server looks through everything that the worker ever held and that nobody cleaned up, so while somebody's snapshot is
/// open the look takes longer and longer. It is then done apart from the beat and less often, unless a call failed since.
final class PostgresSearches: Sendable {
    enum Answer: Sendable, Equatable {
        case no, inTheBeat, apart
    }

    private struct State {
        var last: Duration = .zero
        var next: Duration?
        var isUrgent = false
    }

    private let state = Mutex(State())

    /// A look that takes longer is done apart from the beat.
    private static let long: Duration = .milliseconds(200)
    /// How much longer than a look the pause after it is.
    private static let share = 20

    func next(at now: Duration) -> Answer {
        state.withLock { state in
            guard state.last > Self.long else { return .inTheBeat }
            guard state.isUrgent || state.next.map({ $0 <= now }) ?? true else { return .no }
            state.isUrgent = false
            return .apart
        }
    }

    /// A call failed: if it was a claim, jobs may run that nobody knows of.
    func isNeeded() { state.withLock { $0.isUrgent = true } }

    func took(_ duration: Duration, at now: Duration) {
        state.withLock { ($0.last, $0.next) = (duration, now + duration * Self.share) }
    }
}
