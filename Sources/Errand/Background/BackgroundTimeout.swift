// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How long one attempt of a background task may take.
///
/// `nil` can be written for ``none``.
public struct BackgroundTimeout: Sendable, Hashable, ExpressibleByNilLiteral {
    enum Kind: Hashable {
        case standard
        case none
        case limit(Duration)
    }

    let kind: Kind

    /// What the runner's configuration says: ``BackgroundRunnerConfiguration/timeout``, 5 minutes by default.
    public static let standard = BackgroundTimeout(kind: .standard)
    /// No limit.
    ///
    /// Shutdown still cancels the task.
    public static let none = BackgroundTimeout(kind: .none)

    /// At most this long; then the task is cancelled.
    public static func after(_ limit: Duration) -> BackgroundTimeout { BackgroundTimeout(kind: .limit(limit)) }

    /// At most this many seconds.
    public static func seconds(_ count: Int) -> BackgroundTimeout { after(.seconds(count)) }

    /// At most this many milliseconds.
    public static func milliseconds(_ count: Int) -> BackgroundTimeout { after(.milliseconds(count)) }

    /// At most this many minutes.
    public static func minutes(_ count: Int) -> BackgroundTimeout { after(.seconds(60 * count)) }

    init(kind: Kind) { self.kind = kind }

    /// No limit, as ``none``.
    public init(nilLiteral: ()) { kind = .none }

    func limit(standard: Duration?) -> Duration? {
        switch kind {
        case .standard: standard
        case .none: nil
        case .limit(let limit): limit
        }
    }
}
