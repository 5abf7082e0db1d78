// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif
#if canImport(SwiftOverlayShims)
// Whole-module builds may take `timespec` for a type of this module, depending on what is compiled beside.
import SwiftOverlayShims
#endif

/// The clock of the machine, with one thread of its own for everything that waits.
///
/// Beats, timeouts and drains hang on it. A thread of the operating system fires them on time even when every
/// thread of the cooperative pool is held by code that blocks, which `Task.sleep` does not.
public final class SystemClock: ErrandClock {
    /// The clock of the process.
    ///
    /// Its thread starts with the first timer and lives as long as the process.
    public static let shared = SystemClock()

    // guard: `condition`'s lock; touched only in `locked` and by the thread while it holds that lock.
    nonisolated(unsafe) private var timers = TimerQueue<@Sendable () -> Void>()
    nonisolated(unsafe) private var hasThread = false
    private let condition = ThreadCondition()

    private init() {}

    /// The time of day as the machine has it.
    public var now: Timestamp {
        let time = Self.read(CLOCK_REALTIME)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// Time since the machine started, suspended time included.
    public var uptime: Duration {
        #if canImport(Darwin)
        let time = Self.read(CLOCK_MONOTONIC_RAW)
        #else
        let time = Self.read(CLOCK_BOOTTIME)
        #endif
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }

    /// Runs `action` once on the clock's thread.
    ///
    /// O(log n) in the number of timers, and the thread is woken only when this one is the earliest. A timer
    /// that is cancelled lets go of its action at once.
    /// - Parameters:
    ///   - delay: From now; zero or less means as soon as possible.
    ///   - action: Must be short and must not block: every other timer waits for it.
    /// - Returns: A handle that cancels.
    @discardableResult
    public func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> ClockTimer {
        let deadline = uptime + max(delay, .zero)
        condition.lock()
        let (id, isEarliest) = timers.add(action, at: deadline)
        let needsThread = !hasThread
        hasThread = true
        condition.unlock()
        if needsThread {
            startThread()
        } else if isEarliest {
            condition.signal()
        }
        return ClockTimer { [self] in cancel(id) }
    }

    private func cancel(_ id: UInt64) {
        condition.lock()
        let action = timers.cancel(id)
        condition.unlock()
        // Let go of here, outside the lock: this may be the last reference to anything.
        _ = action
    }

    private func startThread() {
        let started = OSThread.start(named: "errand-clock") { [self] in fireForever() }
        guard !started else { return }
        // No thread to be had now (a process limit, usually); the next timer tries again.
        condition.lock()
        hasThread = false
        condition.unlock()
    }

    /// How long the thread sleeps at most while a timer waits.
    ///
    /// The condition counts no time during which the machine is suspended but deadlines do, so this bounds how
    /// late a timer is after a suspend.
    private static let longestWait: Duration = .seconds(30)

    private func fireForever() {
        condition.lock()
        while true {
            let time = uptime
            if let due = timers.takeDue(at: time) {
                condition.unlock()
                due.action()
                condition.lock()
            } else if let earliest = timers.earliest {
                condition.wait(atMost: min(earliest - time, Self.longestWait))
            } else {
                condition.wait()
            }
        }
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}
