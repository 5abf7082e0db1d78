// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand

/// One thing that a process knows to have happened, as it writes it down in a line of a file, so that it is known when
/// the process is dead.
///
/// Several processes write files of their own. What is compared between them is ids and epochs, which the store gave in an
/// order of its own; times only where one certainly came before the other.
package struct RecordedFact: Sendable, Hashable, Codable {
    /// What happened. Lists of ``jobs``, ``epochs`` and ``words`` go together.
    package enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// An insert of these jobs set out; whether it held is known when ``acknowledged`` follows.
        case offered
        /// An insert answered; the words say what.
        case acknowledged
        /// A claim gave these jobs under these epochs.
        case claimed
        /// A handler is about to begin.
        case started
        /// Settlements were answered: a state, or `leaseLost`, or `refused`.
        case settled
        /// Something was made to go wrong; the word names it.
        case fault
    }

    package var kind: Kind
    package var jobs: [JobID]
    package var epochs: [Int64]
    package var words: [String]
    /// When it was written down, in microseconds of the machine's uptime, which all its processes share.
    package var at: Int64
    /// When the call that it is the answer of set out.
    package var since: Int64

    package init(
        _ kind: Kind,
        jobs: [JobID] = [],
        epochs: [Int64] = [],
        words: [String] = [],
        since: Int64 = 0,
        at: Int64 = 0
    ) {
        (self.kind, self.jobs, self.epochs, self.words) = (kind, jobs, epochs, words)
        (self.since, self.at) = (since, at)
    }
}
