// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How soon a ready job is taken compared with others: 0 to 9, higher is sooner, 5 by default.
///
/// Kept across retry, snooze, pause and rescue. A job gains one level for each ``agingStep`` it has been
/// ready, so low priority waits but never starves.
public struct JobPriority: Sendable, Hashable, Comparable, Codable, ExpressibleByIntegerLiteral {
    /// 0 to 9.
    public let level: Int

    /// A priority; levels outside 0…9 are clamped to the nearest end.
    public init(_ level: Int) { self.level = min(max(level, 0), 9) }

    public init(integerLiteral value: Int) { self.init(value) }

    /// Level 2.
    public static let low: JobPriority = 2
    /// Level 5, the default.
    public static let normal: JobPriority = 5
    /// Level 7.
    public static let high: JobPriority = 7
    /// Level 9.
    public static let urgent: JobPriority = 9

    /// How long a ready job waits to count as one level higher: 5 minutes.
    public static let agingStep: Duration = .seconds(300)

    /// The place of a job among the ready ones, lowest first: `ready time − priority × 5 min`. Because the
    /// clock moves all ready jobs alike, this number never needs to be updated while the job ages.
    public func rank(readyAt: Timestamp) -> Int64 {
        (readyAt - .seconds(300 * level)).microseconds
    }

    public static func < (lhs: JobPriority, rhs: JobPriority) -> Bool { lhs.level < rhs.level }
}
