// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The end of an attempt that the store does not know yet.
struct Ending: Sendable {
    let lease: Lease
    let outcome: Outcome
    /// The attempt; `nil` for a job that was claimed and never started.
    var job: RunningJob?
    /// What could not be stored was replaced by an error that can.
    var isLastTry = false
}

/// Endings on their way to the store. Whoever ends an attempt puts it here and goes on; a loop takes what gathered while
/// it wrote, so a thousand ends share a write, and none of them costs a wait or a task of its own.
///
/// A worker has two: while what the store said about one write is taken note of, the other is at the store. What waits is
/// bounded by the worker: it claims nothing more while too much is unsettled.
final class SettleLane: Sendable {
    private struct State {
        var endings: [Ending] = []
        /// How many of them wake the loop.
        var goal = 1
    }

    private let state = BusyMutex(State())
    private let wakeUp = WakeUp()

    /// As many as one write takes, and as many as are worth one when nobody is in a hurry.
    static let (most, enough) = (1000, 500)
    /// How long a write waits for company.
    static let patience: Duration = .milliseconds(2)

    /// Takes an ending along; returns at once.
    func put(_ ending: Ending) {
        let isReached = state.withLock { state in
            state.endings.append(ending)
            return state.endings.count == state.goal
        }
        if isReached { wakeUp.signal() }
    }

    /// What could have kept the endings company is gone: whoever waits for it looks again.
    func hurry() { wakeUp.signal() }

    /// The next endings to write, in the order of their coming, once there are some; none when the task was cancelled
    /// and nothing is left.
    /// - Parameter mayGather: Whether to wait a little for more, asked when there are only a few, and again at each
    ///   ``hurry()``.
    func next(on clock: any ErrandClock, mayGather: () -> Bool) async -> [Ending] {
        while true {
            let count = count(goal: Self.enough)
            if count > 0 {
                if count < Self.enough { await gather(on: clock, while: mayGather) }
                return take()
            }
            if Task.isCancelled { return [] }
            if self.count(goal: 1) == 0 { await wakeUp.wait(upTo: nil, on: clock) }
        }
    }

    /// Waits until there are enough, but not for long.
    private func gather(on clock: any ErrandClock, while mayGather: () -> Bool) async {
        guard mayGather() else { return }
        let end = clock.uptime + Self.patience
        while count(goal: Self.enough) < Self.enough, mayGather(), !Task.isCancelled {
            let left = end - clock.uptime
            guard left > .zero else { return }
            await wakeUp.wait(upTo: left, on: clock)
        }
    }

    private func count(goal: Int) -> Int {
        state.withLock { state in
            state.goal = goal
            return state.endings.count
        }
    }

    private func take() -> [Ending] {
        state.withLock { state in
            guard state.endings.count > Self.most else {
                defer { state.endings = [] }
                return state.endings
            }
            defer { state.endings.removeFirst(Self.most) }
            return Array(state.endings.prefix(Self.most))
        }
    }
}
