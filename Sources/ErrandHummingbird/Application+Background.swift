// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Errand
public import Hummingbird
public import HummingbirdCore
public import Logging
public import NIOCore
public import ServiceLifecycle

extension Application {
    /// An application whose requests have background tasks.
    ///
    /// Wraps the router's responder and runs `background` after `services`: services stop in reverse order, so
    /// the server stops first, then the runner drains, then your database closes. When the server stops
    /// listening, one deadline for all of it starts, see `BackgroundRunnerConfiguration.shutdownDeadline`, and
    /// every service that is `StopsWithServer` is told. When one of those ends before its turn, as a worker
    /// without running jobs does, requests and tasks go on; only one that throws ends the application.
    ///
    /// `runService()` waits for shutdown however often the signal comes. For "stop at once" on a second signal
    /// run the application in a service group of your own, with `gracefulShutdownSignals: [.sigterm]` and
    /// `cancellationSignals: [.sigint]`: the second kind cancels, and the runner goes to its last step.
    /// - Parameters:
    ///   - router: Answers requests.
    ///   - background: Runs the tasks.
    ///   - server: How connections are set up; HTTP/1.1 when `nil`. Make another one with
    ///     `BackgroundRunner.server(_:)`, which writes responses with tasks as fast as those without.
    ///   - configuration: Of the application.
    ///   - services: Run with the application, stopped after the tasks have drained.
    ///   - onServerRunning: Called once the server listens.
    ///   - eventLoopGroupProvider: Where the event loops come from.
    ///   - logger: Of the application.
    public init<Builder: HTTPResponderBuilder>(
        router: Builder,
        background: BackgroundRunner,
        server: HTTPServerBuilder? = nil,
        configuration: ApplicationConfiguration = ApplicationConfiguration(),
        services: [any Service] = [],
        onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in },
        eventLoopGroupProvider: EventLoopGroupProvider = .singleton,
        logger: Logger? = nil
    ) where Responder == BackgroundResponder<Builder.Responder>, Builder.Responder.Context: RequestContext {
        self.init(
            responder: router.buildResponder(),
            background: background,
            server: server,
            configuration: configuration,
            services: services,
            onServerRunning: onServerRunning,
            eventLoopGroupProvider: eventLoopGroupProvider,
            logger: logger
        )
    }

    /// An application whose requests have background tasks, for a responder that is no router's; see
    /// `init(router:background:server:configuration:services:onServerRunning:eventLoopGroupProvider:logger:)`.
    /// - Parameters:
    ///   - responder: Answers requests.
    ///   - background: Runs the tasks.
    ///   - server: How connections are set up; HTTP/1.1 when `nil`. Make another one with
    ///     `BackgroundRunner.server(_:)`, which writes responses with tasks as fast as those without.
    ///   - configuration: Of the application.
    ///   - services: Run with the application, stopped after the tasks have drained.
    ///   - onServerRunning: Called once the server listens.
    ///   - eventLoopGroupProvider: Where the event loops come from.
    ///   - logger: Of the application.
    public init<Base: HTTPResponder>(
        responder: Base,
        background: BackgroundRunner,
        server: HTTPServerBuilder? = nil,
        configuration: ApplicationConfiguration = ApplicationConfiguration(),
        services: [any Service] = [],
        onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in },
        eventLoopGroupProvider: EventLoopGroupProvider = .singleton,
        logger: Logger? = nil
    ) where Responder == BackgroundResponder<Base>, Base.Context: RequestContext {
        let all = services + [background]
        self.init(
            responder: background.wrap(responder),
            server: server ?? background.server { HTTP1Channel(responder: $0) },
            configuration: configuration,
            services: all.map(EndsInTurn.wrapping),
            onServerRunning: { channel in
                // The listening channel is the first thing that closes at shutdown: nothing else says so early.
                channel.closeFuture.whenComplete { _ in
                    for case let service as any StopsWithServer in all { service.serverIsStopping() }
                }
                await onServerRunning(channel)
            },
            eventLoopGroupProvider: eventLoopGroupProvider,
            logger: logger
        )
    }
}
