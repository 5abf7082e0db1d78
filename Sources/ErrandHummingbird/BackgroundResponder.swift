// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Errand
public import Hummingbird
import HTTPTypes
import Logging
import NIOHTTP1

/// The outermost responder of an application with background tasks.
///
/// It gives each request its `BackgroundTasks`, stores what the request staged before the response leaves, and
/// hands the tasks to the runner when the response has been written. It wraps the responder and is no
/// middleware, because what middleware adds to a response is thrown away for a HEAD request, and because the
/// router turns thrown errors into responses outside of all middleware.
///
/// A request that adds nothing costs one small object and the binding of one task-local.
public struct BackgroundResponder<Base: HTTPResponder>: HTTPResponder where Base.Context: RequestContext {
    /// The wrapped responder's context, whatever it is.
    public typealias Context = Base.Context

    private let base: Base
    private let runner: BackgroundRunner

    init(_ base: Base, runner: BackgroundRunner) {
        self.base = base
        self.runner = runner
    }

    /// Answers the request through the wrapped responder.
    /// - Throws: What that throws, when the request added no task and staged no job.
    public func respond(to request: Request, context: Context) async throws -> Response {
        // Those of a server that tells the end of its responses are bound already.
        if let tasks = BackgroundTasks.current, tasks.adopt(by: runner, logger: context.logger) {
            return try await respond(to: request, context, tasks, isTold: true) {
                try await base.respond(to: request, context: context)
            }
        }
        let tasks = BackgroundTasks(runner: runner, logger: context.logger)
        return try await respond(to: request, context, tasks, isTold: false) {
            try await BackgroundTasks.$current.withValue(tasks) {
                try await base.respond(to: request, context: context)
            }
        }
    }

    /// - Parameter isTold: The server hands the tasks over when the response is written; else its body does.
    private func respond(
        to request: Request,
        _ context: Context,
        _ tasks: BackgroundTasks,
        isTold: Bool,
        _ answer: () async throws -> Response
    ) async throws -> Response {
        var response: Response
        do {
            response = try await answer()
        } catch {
            guard !tasks.closeIfIdle(status: 500) else { throw error }
            if error is HTTPParserError {
                // The connection is in no state to be answered by us; the server answers 400 and closes it.
                tasks.responded(status: HTTPResponse.Status.badRequest.code)
                tasks.handOverNow(.failed(error))
                throw error
            }
            response = Self.response(to: error, request, context)
        }
        // A body of unknown length may call code that adds tasks while it is written.
        let isStream = response.body.contentLength == nil
        if isStream || !tasks.closeIfIdle(status: response.status.code) {
            try await finish(&response, tasks, isTold: isTold)
        }
        return response
    }

    private func finish(_ response: inout Response, _ tasks: BackgroundTasks, isTold: Bool) async throws {
        if let problem = await tasks.flush(status: response.status.code) {
            response = ProblemResponse.make(for: problem)
        }
        tasks.responded(status: response.status.code)
        if runner.runsBeforeResponse {
            try await tasks.handOver(.complete)
        } else if !isTold {
            response.body = response.body.handingOver(tasks)
        }
    }

    /// What the application would make of the error.
    ///
    /// It is made here so that tasks are decided by the status that goes out, and start after it has.
    private static func response(to error: any Error, _ request: Request, _ context: Context) -> Response {
        if let known = error as? any HTTPResponseError,
            let response = try? known.response(from: request, context: context)
        {
            return response
        }
        context.logger.debug("unrecognised error", metadata: ["error": "\(error)", "error.type": "\(type(of: error))"])
        return Response(status: .internalServerError)
    }
}

extension BackgroundRunner {
    /// A responder that gives the requests of `responder` their background tasks, for an `ApplicationProtocol` of
    /// your own: wrap its responder, and put the runner after its services.
    ///
    /// `Application(router:background:)` does both.
    public func wrap<Base: HTTPResponder>(_ responder: Base) -> BackgroundResponder<Base>
    where Base.Context: RequestContext {
        BackgroundResponder(responder, runner: self)
    }
}
