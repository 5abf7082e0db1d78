// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// After-response tasks in a Hummingbird application.

import Errand
import ErrandHummingbird
import Hummingbird
import HummingbirdCore
import NIOCore

struct Signup: Decodable {
    let email: String
    let avatar: String
}

struct WarmCache: Job {
    static let name: JobName = "warm-cache"
    let user: String
}

func routes(_ router: Router<BasicRequestContext>) {
    // snippet.add
    router.post("signup") { request, context -> HTTPResponse.Status in
        let user = try await request.decode(as: Signup.self, context: context)
        context.background.add(sendWelcome, user.email)
        context.background.add("crm", attempts: 3) { try await push(user.email) }
        context.background.addBlocking("thumbnail") { try makeThumbnail(user.avatar) }
        context.background.enqueue(WarmCache(user: user.email))
        return .accepted
    }
    // snippet.end

    router.post("report") { _, context -> HTTPResponse.Status in
        // snippet.after
        let render = context.background.add("render") { try await renderReport() }
        context.background.add("notify", after: render) { try await notify() }
        context.background.add("audit", when: .always) { try await audit() }
        // snippet.end
        return .ok
    }
}

// snippet.current
func registered(_ email: String) {
    BackgroundTasks.current?.add("audit") { try await audit() }
}
// snippet.end

func application(
    _ router: Router<BasicRequestContext>,
    _ jobs: JobClient,
    _ worker: Worker
) -> some ApplicationProtocol {
    // snippet.runner
    var configuration = BackgroundRunnerConfiguration()
    configuration.concurrency = 128
    configuration.drain = .seconds(10)
    let background = BackgroundRunner(jobs: jobs, configuration: configuration)
    let app = Application(router: router, background: background, services: [worker])
    // snippet.end
    return app
}

@Sendable func sendWelcome(_ address: String) async throws {}
func push(_ address: String) async throws {}
func makeThumbnail(_ avatar: String) throws {}
func renderReport() async throws {}
func notify() async throws {}
func audit() async throws {}

func serverOfYourOwn(
    _ router: Router<BasicRequestContext>,
    _ background: BackgroundRunner
) -> some ApplicationProtocol {
    // snippet.server
    let server = background.server {
        HTTP1Channel(responder: $0, configuration: .init(idleTimeout: .seconds(30)))
    }
    let app = Application(router: router, background: background, server: server)
    // snippet.end
    return app
}
