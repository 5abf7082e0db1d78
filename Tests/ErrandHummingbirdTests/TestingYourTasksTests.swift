// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandHummingbird
import Hummingbird
import HummingbirdTesting
import Testing

// What the page "Testing your jobs" shows, run.

// snippet.background
@Test("a registration tells the CRM")
func crm() async throws {
    let background = BackgroundRunner(mode: .immediate)
    let router = Router()
    router.post("register") { _, context -> HTTPResponse.Status in
        context.background.add("crm") { try await push() }
        return .created
    }
    let app = Application(router: router, background: background)
    try await app.test(.router) { client in
        try await client.execute(uri: "/register", method: .post) { #expect($0.status == .created) }
    }
    #expect(background.finished.map(\.name) == ["crm"])
}
// snippet.end

private func push() async throws {}
