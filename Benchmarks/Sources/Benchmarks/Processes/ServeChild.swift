// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Errand
import ErrandHummingbird
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Two servers on one event loop: bare Hummingbird, and the same routes with background tasks.
///
/// A task of bare Hummingbird is an unsupervised `Task`: the least that work after a response can cost.
struct ServeChild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "serve-child", shouldDisplay: false)

    func run() async throws {
        var logger = Logger(label: "serve")
        logger.logLevel = .error
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let ran = RanTasks()
        let background = BackgroundRunner(logger: logger)
        let bare = Application(
            router: router { count, _ in
                for _ in 0..<count { Task.detached { ran.add() } }
            },
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { Parent.tell("bare \($0.localAddress?.port ?? 0)") },
            eventLoopGroupProvider: .shared(group),
            logger: logger
        )
        let ours = Application(
            router: router { count, context in
                for _ in 0..<count { context.background.add("count") { ran.add() } }
            },
            background: background,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { Parent.tell("ours \($0.localAddress?.port ?? 0)") },
            eventLoopGroupProvider: .shared(group),
            logger: logger
        )
        // Each is stopped as a service is, so that the tasks of the last requests run.
        let services = ServiceGroup(services: [bare, ours], logger: logger)
        async let serving: Void = services.run()
        await Parent.waitForEnd()
        await services.triggerGracefulShutdown()
        try await serving
        // Nobody waits for those of bare Hummingbird.
        await Self.settle(ran)
        Parent.tell("ran \(ran.count)")
        try await group.shutdownGracefully()
    }

    /// Waits until no more tasks end.
    private static func settle(_ ran: RanTasks) async {
        var last = -1
        while last != ran.count {
            last = ran.count
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    /// The same routes for both; `add` is all that differs.
    private func router(
        _ add: @escaping @Sendable (Int, BasicRequestContext) -> Void
    ) -> Router<BasicRequestContext> {
        let router = Router()
        for count in [0, 1, 3] {
            router.get("tasks/\(count)") { _, context in
                if count > 0 { add(count, context) }
                return "done"
            }
        }
        return router
    }
}

/// How many tasks ran.
private final class RanTasks: Sendable {
    private let number = Atomic<Int>(0)

    var count: Int { number.load(ordering: .relaxed) }

    func add() { number.add(1, ordering: .relaxed) }
}
