// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import Foundation
import Hummingbird
import HTTPTypes

/// The response a client gets instead of a 2xx that would have been a lie.
enum ProblemResponse {
    private struct Problem: Encodable {
        let type = "about:blank"
        let title: String
        let status: Int
        let detail: String
    }

    /// 503 when the store failed, because trying again later may help; 409 when a unique key was taken; 500 when
    /// a job cannot be encoded, because it will not.
    ///
    /// RFC 9457 problem+json. The cause is in the log and not in the response.
    static func make(for error: BackgroundError) -> Response {
        let (status, title, detail): (HTTPResponse.Status, String, String) =
            switch error.code {
            case .notStored where (error.cause as? StoreError)?.code == .conflict:
                (.conflict, "Conflict", "The same work is there already.")
            case .invalidJob: (.internalServerError, "Internal Server Error", "Work of this request cannot be stored.")
            default:
                (.serviceUnavailable, "Service Unavailable", "Work of this request could not be stored; try again.")
            }
        let problem = Problem(title: title, status: status.code, detail: detail)
        let body = (try? JSONEncoder().encode(problem)) ?? Data()
        return Response(
            status: status,
            headers: [.contentType: "application/problem+json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body))
        )
    }
}
