// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// When a failed job is tried again: how often and after how long.
///
/// The policy is copied into the job when it is enqueued, so that a deploy does not rewrite old promises;
/// with ``followsCode`` the worker's current policy for the job type is used instead.
public struct RetryPolicy: Sendable, Hashable {
    /// The most failures, first try included, before the job is `failed(exhausted)`. At least 1. Crashes,
    /// releases and snoozes do not count.
    public var maxAttempts: Int
    /// The waits between.
    public var backoff: Backoff
    /// Whether the policy that the worker's code has when the job fails replaces the stored one.
    public var followsCode: Bool

    /// A policy.
    public init(maxAttempts: Int, backoff: Backoff = .exponential(), followsCode: Bool = false) {
        self.maxAttempts = max(maxAttempts, 1)
        self.backoff = backoff
        self.followsCode = followsCode
    }

    /// 20 attempts over about 65 hours: a blip is retried in seconds and a Friday-evening outage is still
    /// alive on Monday morning.
    public static let `default` = RetryPolicy(maxAttempts: 20)

    /// One attempt.
    public static let none = RetryPolicy(maxAttempts: 1, backoff: .none)

    /// This many attempts, with these waits between.
    public static func attempts(_ count: Int, backoff: Backoff = .exponential()) -> RetryPolicy {
        RetryPolicy(maxAttempts: count, backoff: backoff)
    }

    /// As many attempts as fit before the job's deadline; give the job one.
    public static func untilDeadline(backoff: Backoff = .exponential()) -> RetryPolicy {
        RetryPolicy(maxAttempts: .max, backoff: backoff)
    }

    /// The waits after each failure, without jitter, at most `limit` of them: what a page or a reviewer shows.
    public func preview(limit: Int = 50) -> [Duration] {
        guard maxAttempts > 1 else { return [] }
        return (1...min(maxAttempts - 1, max(limit, 1))).map { backoff.wait(afterFailure: $0) }
    }
}

extension RetryPolicy: Codable {
    /// Reads the stored form.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let policy = RetryPolicy(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no retry policy")
        }
        self = policy
    }

    /// Writes the stored form.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension RetryPolicy: LosslessStringConvertible {
    /// The stored form: `20 exponential 3.0 2000000 21600000000 0.25`, that is attempts, curve, its number,
    /// base and cap in microseconds, jitter, and `code` when the policy follows the code.
    public var description: String {
        let (word, number): (String, Double) =
            switch backoff.curve {
            case .fixed: ("fixed", 0)
            case .linear: ("linear", 0)
            case .exponential(let factor): ("exponential", factor)
            case .polynomial(let power): ("polynomial", power)
            }
        let (base, cap) = (backoff.base.wholeMicroseconds, backoff.cap.wholeMicroseconds)
        let text = "\(maxAttempts) \(word) \(number) \(base) \(cap) \(backoff.jitter)"
        return followsCode ? text + " code" : text
    }

    /// The policy in this stored form; `nil` for anything else.
    public init?(_ description: String) {
        let parts = description.split(separator: " ")
        guard parts.count == 6 || (parts.count == 7 && parts[6] == "code"),
            let attempts = Int(parts[0]), let number = Double(parts[2]),
            let base = Int64(parts[3]), let cap = Int64(parts[4]), let jitter = Double(parts[5])
        else { return nil }
        let curve: Backoff.Curve
        switch parts[1] {
        case "fixed": curve = .fixed
        case "linear": curve = .linear
        case "exponential": curve = .exponential(factor: number)
        case "polynomial": curve = .polynomial(power: number)
        default: return nil
        }
        let backoff = Backoff(curve: curve, base: .microseconds(base), cap: .microseconds(cap), jitter: jitter)
        self.init(maxAttempts: attempts, backoff: backoff, followsCode: parts.count == 7)
    }
}
