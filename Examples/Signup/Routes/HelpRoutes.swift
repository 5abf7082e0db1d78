// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

/// `GET /`: what to try, as lines to paste.
struct HelpRoutes: Sendable {
    func add(to router: Router<BasicRequestContext>) {
        router.get { request, _ in
            let address = "http://\(request.head.authority ?? "127.0.0.1:8080")"
            return Response(
                status: .ok,
                headers: [.contentType: "text/plain; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: Self.text(address)))
            )
        }
    }

    private static func text(_ address: String) -> String {
        let json = "-H 'Content-Type: application/json' -d"
        return """
            Signup: answers at once, works afterwards.

            Register; two mails follow, one of them is a job:
              curl -i \(address)/register \(json) '{"email": "ada@example.com", "name": "Ada Lovelace"}'
            Long work; the answer names a job:
              curl -i \(address)/process \(json) '{"text": "to be or not to be", "seconds": 2}'
            How a job is, and how all of them are:
              curl \(address)/jobs/ID
              curl '\(address)/jobs?state=succeeded&limit=5'
            A picture, computed after the response:
              curl -i \(address)/thumbnails \(json) '{"size": 1024, "factor": 4}'
            A report; the same day gives the same job:
              curl -i -X POST \(address)/reports/2026-11-21
            A long export, and how to stop it:
              curl -i \(address)/exports \(json) '{"rows": 5000}'
              curl -X DELETE \(address)/jobs/ID
            A reminder by mail, whenever you want it; what is scheduled, and a run right now:
              curl -i \(address)/schedules \(json) '{"id": "tea", "cron": "0 16 * * MON-FRI", "zone": "Europe/London", "email": "ada@example.com"}'
              curl \(address)/schedules
              curl -i -X POST \(address)/schedules/tea/trigger
            Health:
              curl \(address)/healthz
              curl \(address)/readyz

            """
    }
}
