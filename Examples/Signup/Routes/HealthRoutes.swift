// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import HTTPTypes
import Hummingbird

/// `GET /healthz` says whether the process should go on, `GET /readyz` whether it should get requests.
struct HealthRoutes: Sendable {
    /// The worker of this process, if it has one.
    let worker: Worker?
    let store: any JobStore

    private struct Answer: Encodable {
        let isReady: Bool
        let isStoreLost: Bool
        let running: Int
        let zombies: Int
        let worker: String
    }

    func add(to router: Router<BasicRequestContext>) {
        router.get("healthz") { _, _ in
            guard worker?.health.shouldRestart != true else {
                throw Problem(.serviceUnavailable, "Too many handlers ignored their cancellation; restart the process.")
            }
            return Response(status: .ok, headers: [.contentType: "text/plain"], body: Self.ok)
        }
        router.get("readyz") { _, _ in
            guard let worker else { return try await Self.storeAnswers(store) }
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

    /// A process that only answers requests can do that while the store answers it.
    private static func storeAnswers(_ store: any JobStore) async throws -> Response {
        do {
            _ = try await store.pauses()
        } catch {
            throw Problem(.serviceUnavailable, "The store does not answer: \(error)")
        }
        return Response(status: .ok, headers: [.contentType: "text/plain"], body: ok)
    }

    private static let ok = ResponseBody(byteBuffer: ByteBuffer(string: "ok\n"))
}
