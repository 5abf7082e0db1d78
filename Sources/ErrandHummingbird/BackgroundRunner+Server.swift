// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Errand
public import HummingbirdCore
public import NIOCore

extension BackgroundRunner {
    /// An HTTP server that hands the tasks of a request to this runner when it has written the response.
    ///
    /// `Application(router:background:)` uses one over HTTP/1.1. For another server, say with TLS or HTTP/2, give it one
    /// that is made here:
    ///
    /// ```swift
    /// let server = background.server {
    ///     HTTP1Channel(responder: $0, configuration: .init(idleTimeout: .seconds(30)))
    /// }
    /// let app = Application(router: router, background: background, server: server)
    /// ```
    ///
    /// With any other server tasks run all the same, but each response with tasks is written in three pieces instead
    /// of one, because the end of its body is then the only thing that tells.
    /// - Parameter build: Makes the channel of a connection, with the responder it is given.
    public func server(
        _ build: @escaping @Sendable (@escaping HTTPChannelHandler.Responder) throws -> any ServerChildChannel
    ) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            try build { request, writer, channel in
                try await self.serve(request, writer, channel, responder)
            }
        }
    }

    private func serve(
        _ request: Request,
        _ writer: consuming ResponseWriter,
        _ channel: any Channel,
        _ responder: HTTPChannelHandler.Responder
    ) async throws {
        let tasks = BackgroundTasks(ofUnreadRequestFor: self)
        // It cannot be consumed out of a closure, but it can be taken.
        var unused: ResponseWriter? = consume writer
        do {
            // Bound also while the body is written: that runs outside of every middleware.
            try await BackgroundTasks.$current.withValue(tasks) {
                guard let writer = unused.take() else { return }
                try await responder(request, writer, channel)
            }
        } catch {
            try await tasks.handOver(.failed(error))
            throw error
        }
        try await tasks.handOver(.complete)
    }
}
