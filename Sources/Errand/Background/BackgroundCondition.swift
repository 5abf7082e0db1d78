// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// With which outcome of the request a background task runs.
///
/// The outcome is the status of the response that goes out; an error that the handler throws and nobody turns
/// into a response counts as 500.
public enum BackgroundCondition: Sendable, Hashable {
    /// The status is below 400; the default. A redirect counts as success.
    case success
    /// The status is 400 or above: audits, alerts.
    case failure
    /// Whatever happened.
    case always
    /// The status is below 400 and the body was written without an error. Best effort: a small response to a
    /// client that is gone is usually written without an error, too.
    case delivered

    func holds(status: Int, delivery: BackgroundDelivery) -> Bool {
        switch self {
        case .success: status < 400
        case .failure: status >= 400
        case .always: true
        case .delivered: status < 400 && delivery.isComplete
        }
    }
}

/// How writing the response ended.
public enum BackgroundDelivery: Sendable {
    /// The whole body was handed to the network layer. That is not a receipt: only the client knows what
    /// arrived.
    case complete
    /// Writing ended with this error: the stream's own, or the connection's when the client left.
    case failed(any Error)

    /// Whether it is ``complete``.
    public var isComplete: Bool {
        if case .complete = self { true } else { false }
    }
}
