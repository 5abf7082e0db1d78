// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import HTTPTypes
import Hummingbird
import Logging

/// Turns every error into problem+json: ours, the framework's and the unexpected.
///
/// What is unexpected goes to the log and not to the client.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request,
        context: Context,
        next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            return try problem(for: error, request, context).response()
        }
    }

    private func problem(for error: any Error, _ request: Request, _ context: Context) -> Problem {
        switch error {
        case let problem as Problem:
            return problem
        case let error as StoreError where error.isTransient:
            context.logger.error("the store does not answer", metadata: ["error": "\(error)"])
            return Problem(
                .serviceUnavailable,
                "The job store does not answer; try again in a moment.",
                headers: [.retryAfter: "5"]
            )
        case let error as HTTPError:
            let words = error.status == .notFound ? "There is nothing for \(request.method) \(request.uri.path)." : nil
            return Problem(error.status, error.body ?? words ?? error.status.reasonPhrase, headers: error.headers)
        case let error as any HTTPResponseError:
            return Problem(error.status, error.status.reasonPhrase)
        default:
            context.logger.error("a request failed", metadata: ["error": "\(error)", "path": "\(request.uri.path)"])
            return Problem(.internalServerError, "Something went wrong here; it is in the log.")
        }
    }
}
