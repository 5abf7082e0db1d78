// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif
import ErrandCore

/// Wakes a thread that waits for a connection to become readable.
final class PostgresBell: Sendable {
    private let reading: Int32
    private let writing: Int32

    /// `nil` when the system has no pipe to give.
    init?() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        (reading, writing) = (ends[0], ends[1])
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        close(reading)
        close(writing)
    }

    func ring() {
        var byte: UInt8 = 0
        // A full pipe has rung already.
        _ = write(writing, &byte, 1)
    }

    /// Waits until the bell rang or `descriptor` (−1 for none) is readable.
    /// - Returns: False when the time was over first.
    func wait(for descriptor: Int32, atMost limit: Duration) -> Bool {
        var watched = [
            pollfd(fd: reading, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        ]
        let milliseconds = max(limit, .zero).wholeMicroseconds / 1000 + 1
        let count = poll(&watched, nfds_t(watched.count), Int32(clamping: milliseconds))
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(reading, &bytes, bytes.count) > 0 {}
        return count != 0
    }
}
