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

/// A lock with a condition that threads wait on, by the monotonic clock.
///
/// `Synchronization` has no condition variable, and a thread of our own must sleep in one: this is the only
/// place that does.
package final class ThreadCondition: Sendable {
    // guard: POSIX itself; both are made in init, destroyed in deinit, and only handed to pthread calls,
    // which are safe from any thread.
    nonisolated(unsafe) private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    nonisolated(unsafe) private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        #if canImport(Darwin)
        pthread_cond_init(condition, nil)
        #else
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
        #endif
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Tries for about a microsecond before it sleeps: what is done under such a lock takes less, and to sleep and be
    /// woken takes more.
    package func lock() {
        for _ in 0..<Self.tries where pthread_mutex_trylock(mutex) == 0 { return }
        pthread_mutex_lock(mutex)
    }

    private static let tries = 50

    package func unlock() { pthread_mutex_unlock(mutex) }

    /// Wakes one waiting thread.
    package func signal() { pthread_cond_signal(condition) }

    /// Wakes every waiting thread.
    package func broadcast() { pthread_cond_broadcast(condition) }

    /// Sleeps until signalled, lock given up meanwhile.
    ///
    /// May wake for no reason: look again.
    package func wait() { pthread_cond_wait(condition, mutex) }

    /// Sleeps until signalled or `limit` has passed, lock given up meanwhile.
    package func wait(atMost limit: Duration) {
        let (seconds, attoseconds) = max(limit, .zero).components
        #if canImport(Darwin)
        var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        pthread_cond_timedwait_relative_np(condition, mutex, &time)
        #else
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let nanoseconds = time.tv_nsec + Int(attoseconds / 1_000_000_000)
        time.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
        time.tv_nsec = nanoseconds % 1_000_000_000
        pthread_cond_timedwait(condition, mutex, &time)
        #endif
    }
}
