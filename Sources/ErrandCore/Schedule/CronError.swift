// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Why a cron expression is refused: where, what, and what to write instead.
public struct CronError: Error, Sendable, Hashable {
    /// The kind of mistake.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// Not 5, 6 or 7 fields, or no text at all.
        case fieldCount
        /// More than ``CronExpression/longest`` bytes.
        case tooLong
        /// A number that the field does not have.
        case outOfRange
        /// A name that is no month or weekday, or not in a field that takes names.
        case badName
        /// A step of zero or without a number.
        case badStep
        /// Nothing between two commas, or nothing after one.
        case emptyItem
        /// Characters that cron does not know, or not there.
        case unexpected
        /// A macro that does not exist or cannot be used here.
        case badMacro
        /// `H` without the id of a schedule, or where it is not allowed.
        case badHash
        /// `CRON_TZ=` without a zone.
        case badZone
        /// Every field is right, but no date has them all.
        case neverFires
    }

    /// The kind of mistake.
    public let code: Code
    /// The field, as `minute` or `day-of-month`; `nil` when the whole text is meant.
    public let field: String?
    /// The part of the text that is wrong, shortened to 24 characters.
    public let token: String
    /// Where the part begins, counted in characters from 1.
    public let column: Int
    /// What is wrong, without the column.
    public let reason: String
    /// What to write instead; `nil` when there is no good guess.
    public let hint: String?
    /// The expression, shortened to 120 characters.
    public let expression: String

    init(
        _ code: Code,
        field: CronField? = nil,
        token: some StringProtocol,
        column: Int,
        reason: String,
        hint: String? = nil,
        expression: String
    ) {
        self.code = code
        self.field = field?.rawValue
        self.token = String(token.prefix(24))
        self.column = column
        self.reason = reason
        self.hint = hint
        self.expression = String(expression.prefix(120))
    }
}

extension CronError: CustomStringConvertible {
    /// One line: `"61 * * * *": column 1: minute 61 is outside 0-59`, and the hint when there is one.
    public var description: String {
        let place = code == .neverFires ? reason : "column \(column): \(reason)"
        let line = "\(expression.debugDescription): \(place)"
        return hint.map { "\(line); \($0)" } ?? line
    }
}
