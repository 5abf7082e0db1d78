// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How long to wait after a failed attempt: a value, not a closure, so that it can be stored with the job,
/// shown and simulated.
public struct Backoff: Sendable, Hashable {
    package enum Curve: Sendable, Hashable {
        case fixed
        case linear
        case exponential(factor: Double)
        case polynomial(power: Double)
    }

    package let curve: Curve
    /// The wait after the first failure, before jitter.
    public let base: Duration
    /// The longest wait, before jitter.
    public let cap: Duration
    /// The share by which a wait is varied at random, up and down: 0 for none, 0.25 for ±25 %.
    public let jitter: Double

    package init(curve: Curve, base: Duration, cap: Duration, jitter: Double) {
        self.curve = curve
        self.base = max(base, .zero)
        self.cap = max(cap, .zero)
        self.jitter = min(max(jitter.isNaN ? 0 : jitter, 0), 1)
    }

    /// No wait: the next attempt may start at once.
    public static let none = Backoff(curve: .fixed, base: .zero, cap: .zero, jitter: 0)

    /// The same wait each time.
    public static func fixed(_ wait: Duration, jitter: Double = 0) -> Backoff {
        Backoff(curve: .fixed, base: wait, cap: wait, jitter: jitter)
    }

    /// `base × n`, at most `cap`.
    public static func linear(_ base: Duration, cap: Duration = .hours(6), jitter: Double = 0.25) -> Backoff {
        Backoff(curve: .linear, base: base, cap: cap, jitter: jitter)
    }

    /// `base × factor^(n−1)`, at most `cap`. The defaults are the house rule:
    /// 2 s, 6 s, 18 s, 54 s, 2.7 min … 6 h, each ± 25 %.
    public static func exponential(
        base: Duration = .seconds(2),
        factor: Double = 3,
        cap: Duration = .hours(6),
        jitter: Double = 0.25
    ) -> Backoff {
        Backoff(curve: .exponential(factor: factor), base: base, cap: cap, jitter: jitter)
    }

    /// `base × n^power`, at most `cap`; `.polynomial(4)` has Sidekiq's shape.
    public static func polynomial(
        _ power: Double,
        base: Duration = .seconds(1),
        cap: Duration = .hours(24),
        jitter: Double = 0.25
    ) -> Backoff {
        Backoff(curve: .polynomial(power: power), base: base, cap: cap, jitter: jitter)
    }

    /// The wait after failure number `failure` (from 1), without jitter.
    ///
    /// Growth is capped while it is still a `Double`, so no number of failures can overflow.
    public func wait(afterFailure failure: Int) -> Duration {
        let n = Double(max(failure, 1))
        let grown: Double =
            switch curve {
            case .fixed: base.inSeconds
            case .linear: base.inSeconds * n
            case .exponential(let factor): base.inSeconds * power(factor, n - 1)
            case .polynomial(let exponent): base.inSeconds * power(n, exponent)
            }
        let capped = min(grown.isNaN ? cap.inSeconds : grown, cap.inSeconds)
        return Self.microseconds(max(capped, 0) * 1e6)
    }

    /// The wait after failure number `failure`, with jitter drawn from `generator`.
    public func wait(afterFailure failure: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        let exact = wait(afterFailure: failure)
        guard jitter > 0 else { return exact }
        let factor = Double.random(in: (1 - jitter)...(1 + jitter), using: &generator)
        return Self.microseconds(Double(exact.wholeMicroseconds) * factor)
    }

    /// Clamped while still a `Double`: a stored cap may be as long as `Int64` allows, and a trap must not be
    /// reachable from stored data.
    private static func microseconds(_ value: Double) -> Duration {
        .microseconds(value < 9e18 ? Int64(value.rounded()) : .max)
    }

    /// `base` raised to `exponent ≥ 0` by squaring, with the fraction of the exponent interpolated; infinite
    /// when it overflows. The standard library has no `pow` and this target imports no Foundation.
    private func power(_ base: Double, _ exponent: Double) -> Double {
        guard exponent > 0 else { return 1 }
        guard exponent < 4096 else { return base > 1 ? .infinity : (base == 1 ? 1 : 0) }
        var result = 1.0
        var square = base
        var bits = Int(exponent.rounded(.down))
        while bits > 0 {
            if bits & 1 == 1 { result *= square }
            square *= square
            bits >>= 1
        }
        let fraction = exponent - exponent.rounded(.down)
        return fraction == 0 ? result : result * (1 + (base - 1) * fraction)
    }
}
