// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// The system's secure generator, asked for 256 bytes at a time: one call to the kernel serves sixteen ids, where
/// `SystemRandomNumberGenerator` makes two for each.
struct SystemRandom: RandomNumberGenerator, Sendable {
    private static let words = 32
    private var waiting: [UInt64] = []

    mutating func next() -> UInt64 {
        if waiting.isEmpty { fill() }
        return waiting.removeLast()
    }

    private mutating func fill() {
        waiting = Array(repeating: 0, count: Self.words)
        // 256 bytes is the most it gives at once, and for no more it cannot fail on any system we run on.
        let isFilled = waiting.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { getentropy($0, bytes.count) == 0 } ?? false
        }
        guard !isFilled else { return }
        var slow = SystemRandomNumberGenerator()
        for index in waiting.indices { waiting[index] = slow.next() }
    }
}
