// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import NIOCore
import RedisWire

/// How schedules and decisions are written down: as JSON, so that a newer build can add to them. No script looks into it.
struct ScheduleJSON {
    private let encoder: JSONEncoder
    private let decoder = JSONDecoder()

    init() {
        encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
    }

    func bytes(of value: some Encodable, _ what: String) throws(StoreError) -> ByteBuffer {
        do {
            return ByteBuffer(bytes: try encoder.encode(value))
        } catch {
            // A factor of a backoff that is no number, for one.
            throw StoreError(.invalid, "\(what) cannot be written down; one of its numbers is none", cause: error)
        }
    }

    func value<Value: Decodable>(
        _ type: Value.Type = Value.self,
        in bytes: ByteBuffer,
        _ what: String
    ) throws(StoreError) -> Value {
        do {
            return try decoder.decode(type, from: Data(bytes.readableBytesView))
        } catch {
            let advice = "restore a backup or start the build that wrote it"
            throw StoreError(.corrupt, "\(what) is not what this build writes; \(advice)", cause: error)
        }
    }
}
