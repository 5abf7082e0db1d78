// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What running jobs say while they run, collected and written together at most once per interval.
final class NoteBook: Sendable {
    private struct State {
        var pending: [Lease: LeaseNote] = [:]
        var isArmed = false
    }

    private let state = Mutex(State())
    private let store: any JobStore
    private let clock: any ErrandClock
    private let interval: Duration
    private let onRefused: @Sendable (Lease) -> Void

    /// - Parameters:
    ///   - interval: The least time between two writes.
    ///   - onRefused: Called for a lease that the store no longer honours.
    init(
        store: any JobStore,
        clock: any ErrandClock,
        interval: Duration,
        onRefused: @escaping @Sendable (Lease) -> Void
    ) {
        self.store = store
        self.clock = clock
        self.interval = interval
        self.onRefused = onRefused
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

    /// Writes what this job said and was not written yet; called before its attempt ends, because after the
    /// settlement the store refuses it.
    func flush(_ lease: Lease) async {
        guard let note = state.withLock({ $0.pending.removeValue(forKey: lease) }) else { return }
        await write([note])
    }

    private func add(to lease: Lease, _ change: (inout LeaseNote) -> Void) {
        let mustArm = state.withLock { state in
            change(&state.pending[lease, default: LeaseNote(lease: lease)])
            defer { state.isArmed = true }
            return !state.isArmed
        }
        if mustArm { clock.schedule(after: interval) { [self] in Task { await writeAll() } } }
    }

    private func writeAll() async {
        let notes = state.withLock { state in
            state.isArmed = false
            defer { state.pending = [:] }
            return Array(state.pending.values)
        }
        await write(notes)
    }

    /// Notes that a store in trouble did not take go back behind what was said since, and wait for the next
    /// interval. Their bound is that of the lines a store keeps.
    private func write(_ notes: [LeaseNote]) async {
        guard !notes.isEmpty else { return }
        do {
            let answers = try await store.note(notes)
            for (note, held) in zip(notes, answers) where !held { onRefused(note.lease) }
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
