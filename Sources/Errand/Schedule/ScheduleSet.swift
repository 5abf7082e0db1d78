// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

/// The schedules of a program, checked.
///
/// ```swift
/// let schedules = try ScheduleSet(build: .monotonic(42)) {
///     ScheduleDefinition("sync", .every(.seconds(300)), job: Sync())
/// }
/// let worker = Worker(store: store, handlers: handlers, schedules: schedules)
/// ```
///
/// Whoever runs the set makes it the store's: schedules of code that it does not name are retired, unless a newer
/// build wrote them. So all processes of a release give the same set.
public struct ScheduleSet: Sendable {
    /// Which release this is.
    public let build: BuildStamp
    /// The schedules, by name.
    public let definitions: [ScheduleID: ScheduleDefinition]
    let declared: [Reconciliation.Declared]
    private let warnings: [String]

    /// A checked set.
    /// - Parameters:
    ///   - build: Which release this is; by default the time at which the program was built.
    ///   - zones: Where time zones are found.
    ///   - definitions: The schedules.
    /// - Throws: ``ScheduleErrors`` with every problem of every schedule.
    public init(
        build: BuildStamp = .executable,
        zones: ZoneCatalog = .foundation,
        @Builder _ definitions: () throws -> [ScheduleDefinition]
    ) throws {
        let all = try definitions()
        var problems = all.flatMap { $0.problems(zones: zones) }
        let named = Dictionary(grouping: all, by: \.id)
        problems += named.filter { $0.value.count > 1 }.keys.sorted().map { "\($0): declared more than once" }
        guard problems.isEmpty else { throw ScheduleErrors(problems: problems) }
        self.build = build
        self.definitions = named.compactMapValues(\.first)
        declared = try all.map { schedule in
            let definition = try schedule.definition()
            return Reconciliation.Declared(id: schedule.id, definition: definition, hash: try definition.digest())
        }
        warnings = try all.flatMap { schedule in
            let rule = try schedule.trigger.rule(for: schedule.id.rawValue, zones: zones)
            return (rule.warnings + [schedule.policy.warning].compactMap { $0 }).map { "\(schedule.id): \($0)" }
        }
    }

    /// What is allowed and perhaps not meant, each in one line; empty when there is nothing to say. For a test:
    /// `#expect(schedules.check().isEmpty)`.
    public func check() -> [String] { warnings }

    /// Lists of schedules, with `if` and `for`.
    @resultBuilder public enum Builder {
        /// One schedule.
        public static func buildExpression(_ schedule: ScheduleDefinition) -> [ScheduleDefinition] { [schedule] }
        /// Schedules that are listed elsewhere.
        public static func buildExpression(_ schedules: [ScheduleDefinition]) -> [ScheduleDefinition] { schedules }
        /// One after another.
        public static func buildBlock(_ parts: [ScheduleDefinition]...) -> [ScheduleDefinition] { parts.flatMap { $0 } }
        /// An `if` without `else`.
        public static func buildOptional(_ part: [ScheduleDefinition]?) -> [ScheduleDefinition] { part ?? [] }
        /// The first branch of an `if` or `switch`.
        public static func buildEither(first part: [ScheduleDefinition]) -> [ScheduleDefinition] { part }
        /// Any other branch.
        public static func buildEither(second part: [ScheduleDefinition]) -> [ScheduleDefinition] { part }
        /// A `for`.
        public static func buildArray(_ parts: [[ScheduleDefinition]]) -> [ScheduleDefinition] { parts.flatMap { $0 } }
    }
}

/// Everything that is wrong with a program's schedules.
public struct ScheduleErrors: Error, Sendable, Hashable, CustomStringConvertible {
    /// One line for each problem, with the schedule's name before it.
    public let problems: [String]

    /// Errors.
    public init(problems: [String]) { self.problems = problems }

    public var description: String { problems.joined(separator: "\n") }
}
