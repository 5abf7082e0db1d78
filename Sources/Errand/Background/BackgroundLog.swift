// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The keys of the metadata that background tasks put on log lines; the messages are fixed strings.
enum BackgroundLog {
    /// Set by Hummingbird on the logger of a request.
    static let requestID = "hb.request.id"
    static let task = "background.task"
    static let id = "background.id"
    static let attempt = "background.attempt"
    static let wait = "background.wait"
    static let duration = "background.duration"
    static let delay = "background.delay"
    static let reason = "background.reason"
    static let status = "background.status"
    static let count = "background.count"
    static let held = "background.held"
    static let error = "error"
    static let errorType = "error.type"
}
