// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import HTTPTypes
import Hummingbird

/// `GET /healthz` says whether the process should go on, `GET /readyz` whether it should get requests.
struct HealthRoutes: Sendable {
    let worker: Worker

    private struct Answer: Encodable {
        let isReady: Bool
        let isStoreLost: Bool
        let running: Int
        let zombies: Int
        let worker: String
    }

    func add(to router: Router<BasicRequestContext>) {
        router.get("healthz") { _, _ in
            guard !worker.health.shouldRestart else {
                throw Problem(.serviceUnavailable, "Too many handlers ignored their cancellation; restart the process.")
            }
            return Response(status: .ok, headers: [.contentType: "text/plain"], body: Self.ok)
        }
        router.get("readyz") { _, _ in
            let health = worker.health
            let answer = Answer(
                isReady: health.isReady && !health.isStoreLost,
                isStoreLost: health.isStoreLost,
                running: health.running,
                zombies: health.zombies,
                worker: worker.id.description
            )
            return try Response.json(answer, status: answer.isReady ? .ok : .serviceUnavailable)
        }
    }

    private static let ok = ResponseBody(byteBuffer: ByteBuffer(string: "ok\n"))
}
