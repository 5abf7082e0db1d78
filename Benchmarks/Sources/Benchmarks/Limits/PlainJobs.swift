// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The life of no-op jobs as plain statements in batches on the shipped schema, the same rows as those of the store, counts
/// included: no runtime, no decisions. What the engine can do.
protocol PlainJobs {
    /// Stores this many jobs in so many commits.
    mutating func insert(_ count: Int, commits: Int) async throws
    /// Claims and ends this many stored jobs in so many commits.
    mutating func drain(_ count: Int, commits: Int) async throws
    /// Stores, claims and ends this many jobs in so many commits.
    mutating func live(_ count: Int, commits: Int) async throws
    func close() async
}

extension PlainJobs {
    /// How many jobs each of some commits is about; at least one.
    static func share(of count: Int, _ commits: Int) -> Int {
        max((count + commits / 2) / max(commits, 1), 1)
    }
}
