// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a release does to the schedules of its store when it starts: takes in what it declares, retires what it does
/// not declare any more, and leaves alone what a newer release wrote or somebody made at run time.
///
/// Every process of a release does it; whoever comes second finds nothing to do.
public struct Reconciliation: Sendable, Hashable {
    /// A schedule as the program declares it.
    public struct Declared: Sendable, Hashable {
        /// Its name.
        public var id: ScheduleID
        /// What it is.
        public var definition: ScheduleRecord.Definition
        /// The definition's digest.
        public var hash: String

        /// A declared schedule.
        public init(id: ScheduleID, definition: ScheduleRecord.Definition, hash: String) {
            self.id = id
            self.definition = definition
            self.hash = hash
        }
    }

    /// What happens to one schedule.
    public enum Step: Sendable, Hashable {
        /// It is new; its first tick is in the future.
        case insert
        /// It is another now; what was due by the old rule is decided first.
        case edit
        /// It is as declared, and this release is the newest that says so.
        case stamp
        /// It is declared again.
        case revive
        /// It is not declared any more.
        case retire
        /// A newer release wrote it; this one is the older in a rolling deploy.
        case leaveToNewer
        /// It is as declared.
        case keep
        /// The name belongs to a schedule of the other source: the program must not start.
        case clash
    }

    /// The steps, by name.
    public let steps: [ScheduleID: Step]

    /// Compares a program's list with a store's.
    /// - Parameters:
    ///   - declared: All schedules of the program.
    ///   - stored: All schedules of the store.
    ///   - build: The program's build, a number that grows with each release.
    public init(declared: [Declared], stored: [ScheduleRecord], build: Int64) {
        let mine = Dictionary(declared.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let theirs = Dictionary(stored.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var steps: [ScheduleID: Step] = [:]
        for (id, schedule) in mine { steps[id] = Self.step(for: schedule, stored: theirs[id], build: build) }
        for (id, record) in theirs where mine[id] == nil && record.source == .code && record.state != .retired {
            steps[id] = record.build < build ? .retire : .leaveToNewer
        }
        self.steps = steps
    }

    private static func step(for schedule: Declared, stored: ScheduleRecord?, build: Int64) -> Step {
        guard let stored else { return .insert }
        if stored.source == .dynamic { return .clash }
        if stored.build > build { return .leaveToNewer }
        if stored.state == .retired { return .revive }
        if stored.hash != schedule.hash { return .edit }
        return stored.build < build ? .stamp : .keep
    }

    /// Whether there is anything to write.
    public var isEmpty: Bool { steps.values.allSatisfy { $0 == .keep || $0 == .leaveToNewer } }

    /// The names that belong to schedules of the other source, sorted.
    public var clashes: [ScheduleID] { steps.filter { $0.value == .clash }.keys.sorted() }

    /// The plan in one line for each schedule that changes, sorted by name: what a dry run prints.
    public var lines: [String] {
        steps.sorted { $0.key < $1.key }
            .compactMap { id, step in
                switch step {
                case .insert: "+ \(id)"
                case .edit: "~ \(id)"
                case .revive: "+ \(id) (was retired)"
                case .retire: "- \(id)"
                case .clash: "! \(id): made at run time; remove it or choose another id"
                case .leaveToNewer: "  \(id): a newer release wrote it"
                case .keep, .stamp: nil
                }
            }
    }
}
