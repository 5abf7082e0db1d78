// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a store is and what it can promise, as it really is, not as it was asked to be.
public struct StoreDescription: Sendable, Hashable {
    /// What an acknowledged write survives.
    public enum Durability: String, Sendable, Hashable, CaseIterable, Comparable {
        /// Nothing; it lives in this process.
        case none
        /// The death of any process; a power cut may lose the newest writes.
        case processCrash
        /// A power cut, on a disk that honours flushes.
        case powerLoss

        public static func < (lhs: Durability, rhs: Durability) -> Bool {
            func order(_ durability: Durability) -> Int { allCases.firstIndex(of: durability) ?? 0 }
            return order(lhs) < order(rhs)
        }
    }

    /// What the engine is called: `memory`, `sqlite`.
    public var engine: String
    /// The engine's own version.
    public var engineVersion: String
    /// The number of the last migration; 0 when the engine has none.
    public var schemaVersion: Int
    /// What an acknowledged write survives.
    public var durability: Durability
    /// Whether several processes may use it.
    public var isShared: Bool
    /// Whether jobs can be inserted in the caller's own transaction.
    public var hasTransactions: Bool
    /// Whether jobs can be moved from and to it; see ``JobStore/export(_:)``.
    public var isMovable: Bool
    /// Whether it keeps schedules; see ``JobStore/schedules(_:)``.
    public var keepsSchedules: Bool
    /// Things an operator should know, each a sentence; empty when all is well.
    public var warnings: [String]

    /// A description.
    public init(
        engine: String,
        engineVersion: String,
        schemaVersion: Int,
        durability: Durability,
        isShared: Bool,
        hasTransactions: Bool,
        isMovable: Bool = true,
        keepsSchedules: Bool = true,
        warnings: [String] = []
    ) {
        self.engine = engine
        self.engineVersion = engineVersion
        self.schemaVersion = schemaVersion
        self.durability = durability
        self.isShared = isShared
        self.hasTransactions = hasTransactions
        self.isMovable = isMovable
        self.keepsSchedules = keepsSchedules
        self.warnings = warnings
    }
}
