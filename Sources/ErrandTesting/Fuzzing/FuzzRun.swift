// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import ErrandCore

/// Random rounds for a bounded time. Each round's choices follow from a seed of its own, so that a round that failed,
/// and all that came after it, can be run again.
package struct FuzzRun: Sendable, CustomStringConvertible {
    /// Rounds begin for this long; the first one always runs.
    package let length: Duration
    /// The seed of the first round; the next has the next number.
    package let seed: UInt64
    private let clock: any ErrandClock

    /// For a line before the first round, so that one that ends the process can be repeated.
    package var description: String { "\(length.inSeconds) s from FUZZ_SEED=\(seed)" }

    /// What one run came to.
    package struct Report: Sendable, CustomStringConvertible {
        package let name: String
        package let seed: UInt64
        package internal(set) var rounds = 0

        package var description: String { "fuzz \(name): \(rounds) rounds from FUZZ_SEED=\(seed)" }
    }

    /// Reads `FUZZ_SECONDS` (3) and `FUZZ_SEED` (chosen by chance).
    package init(
        _ environment: [String: String],
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system
    ) {
        let seconds = environment["FUZZ_SECONDS"].flatMap(Double.init) ?? 3
        length = .milliseconds(Int(min(max(seconds, 0), 1_000_000) * 1000))
        seed =
            environment["FUZZ_SEED"].flatMap { UInt64($0) }
            ?? chance.draw { UInt64.random(in: 0..<1 << 32, using: &$0) }
        self.clock = clock
    }

    /// Runs rounds until the time is over.
    /// - Parameters:
    ///   - name: Of what is tried.
    ///   - round: Gets the choices and the words that repeat it.
    package func rounds(
        of name: String,
        _ round: (inout SeededGenerator, String) async throws -> Void
    ) async throws -> Report {
        var report = Report(name: name, seed: seed)
        let end = clock.uptime + length
        repeat {
            let number = seed &+ UInt64(report.rounds)
            var generator = SeededGenerator(seed: number)
            try await round(&generator, "\(name), repeat with FUZZ_SEED=\(number)")
            report.rounds += 1
        } while clock.uptime < end
        return report
    }
}

extension RandomNumberGenerator {
    /// A number from 0 to `count` − 1.
    package mutating func below(_ count: Int) -> Int { Int.random(in: 0..<Swift.max(count, 1), using: &self) }

    /// True once in `count` times.
    package mutating func once(in count: Int) -> Bool { below(count) == 0 }

    /// One of these.
    package mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }
}
