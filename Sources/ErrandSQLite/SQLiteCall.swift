// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A call that waits for the writer.
protocol SQLiteCall: Sendable {
    /// About how many rows it touches.
    var rows: Int { get }

    /// Does it; may be asked again when the transaction was undone.
    func run(in session: SQLiteSession) throws

    /// It failed although its transaction goes on.
    func fail(_ error: StoreError)

    /// Answers the caller, once, after the transaction: with `error`, with the call's own, or with its value.
    func answer(_ error: StoreError?)
}

/// A call with its answer.
// guard: the caller hands it over through the writer's mutex and does not keep it; from then on only the writer's
// thread touches `result`.
final class SQLiteTypedCall<Value: Sendable>: SQLiteCall, @unchecked Sendable {
    let rows: Int
    private let body: @Sendable (SQLiteSession) throws -> Value
    private let continuation: CheckedContinuation<Value, any Error>
    private var result: Result<Value, StoreError> = .failure(.storeClosed)

    init(
        rows: Int,
        body: @escaping @Sendable (SQLiteSession) throws -> Value,
        continuation: CheckedContinuation<Value, any Error>
    ) {
        self.rows = rows
        self.body = body
        self.continuation = continuation
    }

    func run(in session: SQLiteSession) throws {
        result = .success(try body(session))
    }

    func fail(_ error: StoreError) {
        result = .failure(error)
    }

    func answer(_ error: StoreError?) {
        if let error {
            continuation.resume(throwing: error)
        } else {
            continuation.resume(with: result.mapError { $0 as any Error })
        }
    }
}
