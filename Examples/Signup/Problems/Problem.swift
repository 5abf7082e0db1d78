// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

/// What a client is told when a request cannot be answered: RFC 9457 problem details, as one JSON object.
///
/// Thrown by handlers; `ProblemMiddleware` makes one of every other error, so a client meets a single shape.
struct Problem: Error, Sendable {
    /// One part of the request that is wrong.
    struct Part: Sendable, Hashable, Encodable {
        /// Where in the body: a JSON pointer as a URI fragment, `#/email`; `nil` for a query parameter.
        var pointer: String?
        /// Which query parameter; `nil` for a part of the body.
        var parameter: String?
        /// What is wrong, and what would be right.
        var detail: String
    }

    var status: HTTPResponse.Status
    /// One sentence about this very request.
    var detail: String
    /// The parts that are wrong; empty when it is not about parts.
    var errors: [Part] = []
    var headers: HTTPFields = [:]

    init(_ status: HTTPResponse.Status, _ detail: String, errors: [Part] = [], headers: HTTPFields = [:]) {
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers
    }

    /// The response for it.
    func response() throws -> Response {
        let body = Body(
            title: status.reasonPhrase,
            status: status.code,
            detail: detail,
            errors: errors.isEmpty ? nil : errors
        )
        var response = try Response.json(body, status: status, headers: headers)
        response.headers[.contentType] = "application/problem+json"
        return response
    }

    private struct Body: Encodable {
        let type = "about:blank"
        let title: String
        let status: Int
        let detail: String
        let errors: [Part]?
    }
}
