// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A unit of work as a value that can be stored: its fields are the arguments, its static properties say how it
/// is treated. What it does is registered apart, in ``JobHandlers``, so that the enqueuing side never links what
/// the handler needs.
///
/// ```swift
/// struct WelcomeEmail: Job {
///     static let name: JobName = "welcome-email"
///     let address: String
/// }
/// ```
///
/// Every static property has a default, and ``EnqueueOptions`` may override it for one call.
public protocol Job: Codable, Sendable {
    /// What the handler returns. A type that is not `Void` must be `Codable`, and its values are kept for
    /// ``resultTTL`` after the end.
    associatedtype Output: Sendable = Void

    /// The stable name in the store; never derived from the Swift type, which may be renamed.
    static var name: JobName { get }
    /// The version of the payload, from 1. Raise it when old workers could not decode what new code writes;
    /// they then leave such jobs to new workers.
    static var version: Int { get }
    /// The line it stands in; `default` by default.
    static var queue: QueueName { get }
    /// How soon it is taken; 5 by default.
    static var priority: JobPriority { get }
    /// When it is tried again; 20 attempts over about 65 hours by default.
    static var retry: RetryPolicy { get }
    /// How long one attempt may take; 15 minutes by default, `nil` for no limit.
    static var timeout: Duration? { get }
    /// If it has not started this long after the enqueue it is `expired`; `nil`, the default, for never.
    static var startWithin: Duration? { get }
    /// How long all attempts together may take; `nil`, the default, for no limit.
    static var deadline: Duration? { get }
    /// What counts as the same job; `nil`, the default, for nothing.
    static var unique: Uniqueness<Self>? { get }
    /// How many dead workers it survives; 2 by default, 0 for a job that must never run twice after a crash.
    static var crashesAllowed: Int { get }
    /// How long its result is kept; 24 hours by default.
    static var resultTTL: Duration { get }
    /// How long a running attempt may go on, counted from the stop signal, when the worker's own
    /// ``WorkerShutdown/cancelAfter`` is too short for it; `nil`, the default, for that. While such a job runs, all
    /// later steps of the worker's shutdown move back with it.
    static var finishWithin: Duration? { get }

    /// Makes a job from a stored payload, possibly of an older ``/ErrandCore/Payload/version``. The default decodes JSON;
    /// write your own to read what older versions wrote.
    /// - Throws: Anything; the job then becomes `failed(undecodable)` without using an attempt.
    static func decode(_ payload: Payload) throws -> Self
}

extension Job {
    public static var version: Int { 1 }
    public static var queue: QueueName { .default }
    public static var priority: JobPriority { .normal }
    public static var retry: RetryPolicy { .default }
    public static var timeout: Duration? { NewJob.defaultTimeout }
    public static var startWithin: Duration? { nil }
    public static var deadline: Duration? { nil }
    public static var unique: Uniqueness<Self>? { nil }
    public static var crashesAllowed: Int { NewJob.defaultCrashesAllowed }
    public static var resultTTL: Duration { NewJob.defaultResultTTL }
    public static var finishWithin: Duration? { nil }

    public static func decode(_ payload: Payload) throws -> Self {
        try PayloadCoder.decode(Self.self, from: payload)
    }
}
