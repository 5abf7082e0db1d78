// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a rule with fixed times of day does on the nights when clocks change.
///
/// The default is the rule of Debian's cron: nothing is lost and nothing is done twice. Rules with a `*` in the second,
/// minute or hour field are never concerned: they follow real time, find nothing in an hour that does not exist, and
/// both passes of one that comes twice.
public struct ClockChanges: Sendable, Hashable, Codable {
    /// What becomes of a time that the clock skips.
    public enum Gap: String, Sendable, Hashable, Codable {
        /// It fires at the first instant after the gap; several such times are one tick. The default.
        case move
        /// It does not fire that day.
        case skip
    }

    /// What becomes of a time that the clock shows twice.
    public enum Overlap: String, Sendable, Hashable, Codable {
        /// The first pass fires. The default.
        case first
        /// Both fire: two ticks with different instants.
        case both
        /// The second pass fires.
        case secondOnly
    }

    /// Times that the clock skips; ``Gap/move`` unless set.
    public var gap: Gap
    /// Times that the clock shows twice; ``Overlap/first`` unless set.
    public var overlap: Overlap

    /// A choice; both default to Debian's rule.
    public init(gap: Gap = .move, overlap: Overlap = .first) {
        self.gap = gap
        self.overlap = overlap
    }

    /// Debian's rule: move, and the first pass.
    public static let standard = ClockChanges()
}
