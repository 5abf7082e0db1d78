// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a background task can know about itself, from ``current`` anywhere inside it.
public struct BackgroundTaskContext: Sendable {
    /// The one of the background task that runs the caller; `nil` outside.
    @TaskLocal public static var current: BackgroundTaskContext?

    /// Unique within the runner; `background.id` in logs.
    public let id: UInt64
    /// The name given to it, or the file and line that added it.
    public let name: String
    /// Which attempt this is, from 1.
    public let attempt: Int
    /// Of the request that added it, if one did.
    public let requestID: String?
    /// The status of that request's response; `nil` before there is one and outside requests.
    public let status: Int?
    /// How writing that response ended; `nil` while it is being written and outside requests.
    public let delivery: BackgroundDelivery?
}
