// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

extension Request {
    /// The most bytes of a request body: 64 KiB, more than any form here needs.
    static let bodyLimit = 65_536

    /// The body as JSON, its fields ready to be looked at.
    /// - Throws: ``Problem``: 415 for another content type, 413 for too many bytes, 400 for what is not JSON.
    func fields() async throws -> FieldReader {
        let type = headers[.contentType]?.split(separator: ";").first?.trimmingCharacters(in: .whitespaces).lowercased()
        guard let type, type == "application/json" || type.hasSuffix("+json") else {
            throw Problem(
                .unsupportedMediaType,
                "Send JSON, with the header Content-Type: application/json.",
                headers: [.accept: "application/json"]
            )
        }
        let bytes: ByteBuffer
        do {
            bytes = try await body.collect(upTo: Self.bodyLimit)
        } catch is NIOTooManyBytesError {
            throw Problem(.contentTooLarge, "The body may have at most \(Self.bodyLimit) bytes.")
        }
        guard !JSONNesting.isTooDeep(bytes.readableBytesView) else {
            throw Problem(.badRequest, "The body must be UTF-8 with at most \(JSONNesting.limit) levels of brackets.")
        }
        do {
            return FieldReader(try JSONDecoder().decode(JSONValue.self, from: Data(bytes.readableBytesView)))
        } catch {
            throw Problem(.badRequest, "The body is not valid JSON.")
        }
    }
}

extension Response {
    /// A response with this value as JSON, names sorted so that two equal answers have equal bytes.
    static func json(
        _ value: some Encodable,
        status: HTTPResponse.Status = .ok,
        headers: HTTPFields = [:]
    ) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var headers = headers
        headers[.contentType] = "application/json"
        let body = ByteBuffer(bytes: try encoder.encode(value) + [UInt8(ascii: "\n")])
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
    }
}
