// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What running jobs say while they run, collected and written together at most once per interval.
final class NoteBook: Sendable {
    private struct State {
        var pending: [Lease: LeaseNote] = [:]
        /// Writes on their way, and whose words they carry.
        var writes: [Int: (leases: Set<Lease>, end: Latch)] = [:]
        var lastWrite = 0
        var isArmed = false
        var onRefused: (@Sendable (Lease) -> Void)?
    }

    private let state = BusyMutex(State())
    private let store: any JobStore
    private let clock: any ErrandClock
    private let interval: Duration
    private let lane: WorkLane

    /// - Parameters:
    ///   - interval: The least time between two writes.
    ///   - lane: Where they are begun; not on the shared pool, which may have no thread left for them.
    init(store: any JobStore, clock: any ErrandClock, interval: Duration, lane: WorkLane) {
        self.store = store
        self.clock = clock
        self.interval = interval
        self.lane = lane
    }

    /// Who hears of a lease that the store no longer honours.
    func onRefused(_ action: @escaping @Sendable (Lease) -> Void) {
        state.withLock { $0.onRefused = action }
    }

    func progress(_ fraction: Double, _ message: String, by lease: Lease) {
        add(to: lease) { $0.progress = (fraction, message) }
    }

    func line(_ line: LogLine, by lease: Lease) {
        add(to: lease) { note in
            note.lines.append(line)
            if note.lines.count > LogLine.kept { note.lines.removeFirst(note.lines.count - LogLine.kept) }
        }
    }

    /// Whether jobs have said nothing that was not written yet: then there is nothing to flush for any.
    var isQuiet: Bool { state.withLock { $0.pending.isEmpty && $0.writes.isEmpty } }

    /// Writes what this job said and was not written yet; called before its attempt ends, because after the
    /// settlement the store refuses it.
    func flush(_ lease: Lease) async {
        // What the timer took a moment ago must arrive before the settlement, too.
        let underWay = state.withLock { $0.writes.values.filter { $0.leases.contains(lease) }.map(\.end) }
        for write in underWay { await write.wait() }
        if let note = take(lease) { await write([note]) }
    }

    /// Hands out what this job said and was not written yet; whoever takes it writes it.
    func take(_ lease: Lease) -> LeaseNote? { state.withLock { $0.pending.removeValue(forKey: lease) } }

    private func add(to lease: Lease, _ change: (inout LeaseNote) -> Void) {
        let mustArm = state.withLock { state in
            change(&state.pending[lease, default: LeaseNote(lease: lease)])
            defer { state.isArmed = true }
            return !state.isArmed
        }
        guard mustArm else { return }
        clock.schedule(after: interval) { [self] in Task(executorPreference: lane) { await self.writeAll() } }
    }

    private func writeAll() async {
        let end = Latch()
        let (number, notes) = state.withLock { state in
            state.isArmed = false
            state.lastWrite += 1
            state.writes[state.lastWrite] = (Set(state.pending.keys), end)
            defer { state.pending = [:] }
            return (state.lastWrite, state.pending.values.sorted { $0.lease.job < $1.lease.job })
        }
        await write(notes)
        state.withLock { $0.writes[number] = nil }
        end.open()
    }

    /// Notes that a store in trouble did not take go back behind what was said since, and wait for the next
    /// interval. Their bound is that of the lines a store keeps.
    private func write(_ notes: [LeaseNote]) async {
        guard !notes.isEmpty else { return }
        do {
            let answers = try await store.note(notes)
            let onRefused = state.withLock { $0.onRefused }
            for (note, held) in zip(notes, answers) where !held { onRefused?(note.lease) }
        } catch {
            for note in notes {
                add(to: note.lease) { newer in
                    newer.lines = Array((note.lines + newer.lines).suffix(LogLine.kept))
                    if newer.progress == nil { newer.progress = note.progress }
                }
            }
        }
    }
}
