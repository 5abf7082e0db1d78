// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging

/// Runs one claimed job: decode, interceptors, handler, result. Never touches the store and decides nothing.
struct JobExecutor: Sendable {
    let handlers: JobHandlers
    let interceptors: [any JobInterceptor]

    /// The end of the attempt, whatever happens in it.
    func run(_ context: JobContext) async -> AttemptEnd {
        let record = context.record
        guard let handler = handlers[record.name] else {
            return .undecodable(StoredError(type: "UnknownName", message: "no handler for '\(record.name)'"))
        }
        let run: JobHandlers.Run
        do {
            run = try handler.prepare(record.payload)
        } catch {
            return .undecodable(StoredError(error))
        }
        return await ErrandSpans.run(record) { fail in
            do {
                return .returned(
                    try await withLogger(context.logger) { _ in
                        try await intercept(context, interceptors[...], run)
                    }
                )
            } catch let control as JobControl {
                switch control {
                case .retry, .fail: fail(control)
                case .snooze, .cancel: break
                }
                return .steered(control.steering)
            } catch {
                fail(error)
                let advice = (error as? any RetryHint)?.retryAdvice ?? .policy
                return .threw(StoredError(error), advice: advice)
            }
        }
    }

    private func intercept(
        _ context: JobContext,
        _ chain: ArraySlice<any JobInterceptor>,
        _ run: JobHandlers.Run
    ) async throws -> Payload? {
        guard let interceptor = chain.first else { return try await run(context) }
        var result: Payload?
        try await interceptor.run(context) {
            result = try await intercept(context, chain.dropFirst(), run)
        }
        return result
    }
}
