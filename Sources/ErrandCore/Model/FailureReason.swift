// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Why a job is `failed`, or why it is `cancelled` or `expired` in a way worth telling apart.
public enum FailureReason: String, Sendable, Hashable, Codable, CaseIterable {
    /// The last attempt its retry policy allows has failed.
    case exhausted
    /// The handler said that trying again is of no use.
    case permanent
    /// Three workers died while running it.
    case poison
    /// The stored payload cannot be decoded by any version the worker knows. No attempt was used; a retry
    /// after a fixed deploy runs it.
    case undecodable
    /// Its deadline over all attempts passed.
    case deadline
    /// It was told to stop, did not within the grace, and its slot was taken from it.
    case abandoned
}
