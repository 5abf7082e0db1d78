// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Testing

@Suite("Retry policies and backoff")
struct RetryPolicyTests {
    static let policies: [RetryPolicy] = [
        .default, .none, .untilDeadline(), .attempts(3, backoff: .fixed(.milliseconds(1500), jitter: 0.1)),
        .attempts(1, backoff: .linear(.seconds(3), cap: .minutes(1))), .attempts(9, backoff: .polynomial(4)),
        .attempts(9, backoff: .polynomial(1.5, base: .seconds(2), cap: .days(1), jitter: 1)),
        RetryPolicy(maxAttempts: 2, backoff: .exponential(factor: 1.7), followsCode: true),
        .attempts(5, backoff: .fixed(.microseconds(Int64.max))),
    ]

    @Test("the stored form leads back to the policy", arguments: policies)
    func roundTrip(policy: RetryPolicy) {
        #expect(RetryPolicy(policy.description) == policy)
    }

    @Test(
        "other texts are no policies",
        arguments: [
            "", "20", "20 exponential 3.0 2000000 21600000000", "x fixed 0 0 0 0", "1 cubic 0 0 0 0",
            "1 fixed 0 0 0 0 x",
        ]
    )
    func refused(text: String) {
        #expect(RetryPolicy(text) == nil)
    }

    @Test(
        "stored numbers of any size are bounded, never a trap",
        arguments: [
            "-5 fixed 0 -1 -1 9", "0 exponential inf 9223372036854775807 9223372036854775807 1",
            "3 exponential nan 1 9223372036854775807 nan", "3 polynomial -2.5 1 1 -1", "3 polynomial 1e300 1 1000 0",
            "3 linear 0 9223372036854775807 9223372036854775807 1",
        ]
    )
    func hostile(text: String) throws {
        let policy = try #require(RetryPolicy(text))
        #expect(policy.maxAttempts >= 1)
        var generator = SeededGenerator(seed: 1)
        for failure in [Int.min, 0, 1, 2, 100, 10_000, .max] {
            #expect(policy.backoff.wait(afterFailure: failure) >= .zero)
            #expect(policy.backoff.wait(afterFailure: failure, using: &generator) >= .zero)
        }
        _ = policy.preview()
    }

    @Test("the default waits are 2 s, 6 s, 18 s … and never longer than six hours")
    func house() {
        let waits = RetryPolicy.default.preview()
        #expect(waits.prefix(5) == [.seconds(2), .seconds(6), .seconds(18), .seconds(54), .seconds(162)])
        #expect(waits.count == 19)
        #expect(waits.max() == .hours(6))
        let total = waits.reduce(Duration.zero, +)
        #expect(total > .hours(60) && total < .hours(70))
    }

    @Test("every wait of ten thousand failures stays within cap and jitter", arguments: policies.map(\.backoff))
    func bounds(backoff: Backoff) {
        var generator = SeededGenerator(seed: 4)
        var last = Duration.zero
        for failure in 1...10_000 {
            let exact = backoff.wait(afterFailure: failure)
            #expect(exact >= last && exact <= backoff.cap)
            last = exact
            let varied = backoff.wait(afterFailure: failure, using: &generator).inSeconds
            let slack = exact.inSeconds * backoff.jitter + 1e-6 + exact.inSeconds * 1e-9
            #expect(abs(varied - exact.inSeconds) <= slack)
        }
    }

    @Test("jitter is drawn from the whole range")
    func jitter() {
        var generator = SeededGenerator(seed: 5)
        let backoff = Backoff.fixed(.seconds(100), jitter: 0.25)
        let waits = (0..<2000).map { _ in backoff.wait(afterFailure: 1, using: &generator).inSeconds }
        #expect(waits.allSatisfy { $0 >= 75 && $0 <= 125 })
        #expect((waits.min() ?? 0) < 77 && (waits.max() ?? 0) > 123)
    }
}
