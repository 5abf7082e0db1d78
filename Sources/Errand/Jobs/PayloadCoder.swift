// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Payload values to bytes and back: JSON, once on each side. The machinery never parses it again.
enum PayloadCoder {
    // Both may be used from several threads at once, and making one costs as much as a small payload.
    private static let encoder = JSONEncoder()
    private static let decoder = JSONDecoder()

    /// Encodes a value with the version of its type.
    static func encode(_ value: some Encodable, version: Int = 1) throws -> Payload {
        Payload(bytes: Array(try encoder.encode(value)), format: .json, version: version)
    }

    /// Encodes what a handler returned.
    /// - Throws: ``ErrandError`` with code `resultTooLarge`.
    static func encode(result: some Encodable) throws -> Payload {
        let payload = try encode(result)
        guard payload.bytes.count <= Payload.resultLimit else {
            throw ErrandError(
                .resultTooLarge,
                "the result has \(payload.bytes.count) bytes; the limit is \(Payload.resultLimit): "
                    + "store it elsewhere and return where it is"
            )
        }
        return payload
    }

    /// Decodes a value; refuses another format by name, and what the decoder cannot stand.
    static func decode<Value: Decodable>(_ type: Value.Type, from payload: Payload) throws -> Value {
        guard payload.format == .json else {
            throw ErrandError(
                .invalidJob,
                "the payload is '\(payload.format.rawValue)', not JSON; give \(type) its own decode(_:)"
            )
        }
        guard !JSONNesting.isTooDeep(payload.bytes) else {
            throw ErrandError(
                .invalidJob,
                "the payload is nested deeper than \(JSONNesting.limit) levels or is not UTF-8, so it cannot be decoded"
            )
        }
        return try decoder.decode(type, from: Data(payload.bytes))
    }

    /// The value as JSON with sorted names, equal for equal values.
    static func canonical(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }
}
