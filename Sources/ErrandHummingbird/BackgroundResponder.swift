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
            do {
                let response = try await base.respond(to: request, context: context)
                // Not closed yet: its body may still add tasks while it is written.
                if tasks.respondedReadily(status: response.status.code) { return response }
                return try await finish(response, tasks, isTold: true)
            } catch {
                return try await finish(error, request, context, tasks, isTold: true)
            }
        }
        let tasks = BackgroundTasks(runner: runner, logger: context.logger)
        do {
            let response = try await BackgroundTasks.$current.withValue(tasks) {
                try await base.respond(to: request, context: context)
            }
            // A body of unknown length may call code that adds tasks while it is written.
            let isStream = response.body.contentLength == nil
            if !isStream, tasks.closeIfIdle(status: response.status.code) { return response }
            return try await finish(response, tasks, isTold: false)
        } catch {
            return try await finish(error, request, context, tasks, isTold: false)
        }
    }

    /// Decides what goes out and sees to it that the tasks are handed over when it has.
    /// - Parameter isTold: The server hands them over; else the response's body does.
    private func finish(_ answer: Response, _ tasks: BackgroundTasks, isTold: Bool) async throws -> Response {
        var response = answer
        if let problem = await tasks.flush(status: response.status.code) {
            response = ProblemResponse.make(for: problem)
        }
        tasks.responded(status: response.status.code)
        if runner.runsBeforeResponse {
            try await tasks.handOver(.complete)
        } else if !isTold {
            response.body = response.body.handingOver(tasks)
        }
        return response
    }

    /// The same for an error, which the application would turn into a response outside of all middleware.
    private func finish(
        _ error: any Error,
        _ request: Request,
        _ context: Context,
        _ tasks: BackgroundTasks,
        isTold: Bool
    ) async throws -> Response {
        guard !tasks.closeIfIdle(status: 500) else { throw error }
        if error is HTTPParserError {
            // The connection is in no state to be answered by us; the server answers 400 and closes it.
            tasks.responded(status: HTTPResponse.Status.badRequest.code)
            tasks.handOverNow(.failed(error))
            throw error
        }
        return try await finish(Self.response(to: error, request, context), tasks, isTold: isTold)
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
