// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Where rules find their time zones.
///
/// `Errand` has one of Foundation's zones; a test may write its own. `identifiers` serve only to guess what a
/// misspelt name meant.
public struct ZoneCatalog: Sendable {
    /// The zone of an IANA identifier; `nil` when there is none.
    public let rules: @Sendable (_ identifier: String) -> ZoneRules?
    /// All identifiers.
    public let identifiers: @Sendable () -> [String]

    /// A catalog.
    public init(
        rules: @escaping @Sendable (_ identifier: String) -> ZoneRules?,
        identifiers: @escaping @Sendable () -> [String] = { [] }
    ) {
        self.rules = rules
        self.identifiers = identifiers
    }

    /// UTC alone.
    public static let utc = ZoneCatalog(rules: { $0 == "UTC" ? .utc : nil }, identifiers: { ["UTC"] })

    /// The zone, or an error that guesses what was meant.
    func zone(_ identifier: String) throws(TriggerError) -> ZoneRules {
        if identifier == "UTC" { return .utc }
        let isReadable = identifier.utf8.count <= 64
        if isReadable, let rules = rules(identifier) { return rules }
        let guess = isReadable ? identifiers().map { ($0, distance($0, identifier)) }.min { $0.1 < $1.1 } : nil
        let hint = guess.flatMap { $0.1 <= 3 ? "; did you mean \($0.0)?" : nil } ?? ""
        throw TriggerError(.unknownZone, "zone \(String(identifier.prefix(64)).debugDescription) unknown\(hint)")
    }

    /// How many letters must be changed, added or removed to make one of the other, upper and lower case alike.
    private func distance(_ one: String, _ other: String) -> Int {
        let (left, right) = (Array(one.lowercased().utf8), Array(other.lowercased().utf8))
        guard abs(left.count - right.count) <= 3 else { return 4 }
        var row = Array(0...right.count)
        for (i, letter) in left.enumerated() {
            var corner = row[0]
            row[0] = i + 1
            for (j, wanted) in right.enumerated() {
                let kept = corner + (letter == wanted ? 0 : 1)
                corner = row[j + 1]
                row[j + 1] = min(kept, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}

/// Why a trigger cannot become a rule.
public struct TriggerError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of mistake.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// The cron expression is refused; ``TriggerError/cron`` says where.
        case cron
        /// There is no such time zone.
        case unknownZone
        /// The expression and the API each name a zone.
        case twoZones
        /// An interval or a delay below a second, or not of whole seconds.
        case interval
        /// A calendar rule with a day or a time that does not exist, or without any.
        case calendar
        /// No date meets the rule.
        case neverFires
        /// The end is before the start, a limit below 1, or a union that is empty, too large, or of what cannot be in one.
        case bounds
    }

    /// The kind of mistake.
    public let code: Code
    /// What is wrong and what to do, in one line.
    public let message: String
    /// The error of the cron expression.
    public let cron: CronError?

    init(_ code: Code, _ message: String, cron: CronError? = nil) {
        self.code = code
        self.message = message
        self.cron = cron
    }

    public var description: String { message }
}
