// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A random number generator whose numbers follow from its seed, so that a test that failed can be run again.
///
/// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, fast, good enough for tests, useless for secrets.
/// A copy goes on independently with the same numbers.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    /// The seed it started from; print it when a test fails.
    public let seed: UInt64
    private var state: UInt64

    /// A generator whose numbers follow from `seed`.
    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
