// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a background task can know about itself, from ``current`` anywhere inside it.
public struct BackgroundTaskContext: Sendable {
    /// The one of the background task that runs the caller; `nil` outside.
    @TaskLocal public static var current: BackgroundTaskContext?

    let task: BackgroundTask
    /// Unique within the runner; `background.id` in logs.
    public var id: UInt64 { task.id }
    /// The name given to it, or the file and line that added it.
    public var name: String { task.name }
    /// Which attempt this is, from 1.
    public let attempt: Int
    /// Of the request that added it, if one did.
    public var requestID: String? { task.requestID }
    /// The status of that request's response; `nil` before there is one and outside requests.
    public let status: Int?
    /// How writing that response ended; `nil` while it is being written and outside requests.
    public let delivery: BackgroundDelivery?
}
