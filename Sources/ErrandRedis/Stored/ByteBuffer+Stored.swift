// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

// How small things are written down. Numbers are big-endian, as in the scripts; texts and bytes stand behind their length.

extension ByteBuffer {
    mutating func write(_ text: String) {
        let count = text.utf8.count
        writeInteger(UInt32(clamping: count))
        writeString(text)
    }

    mutating func write(_ bytes: [UInt8]) {
        writeInteger(UInt32(clamping: bytes.count))
        writeBytes(bytes)
    }

    mutating func write(_ instant: Timestamp?) { writeInteger(instant?.microseconds ?? .min) }

    mutating func write(_ duration: Duration?) { writeInteger(duration?.wholeMicroseconds ?? .min) }

    mutating func write(_ id: JobID) {
        writeInteger(id.high)
        writeInteger(id.low)
    }

    mutating func write(_ words: [String: String]) {
        writeInteger(UInt32(clamping: words.count))
        for (key, value) in words {
            write(key)
            write(value)
        }
    }

    mutating func write(_ error: StoredError) {
        write(error.type)
        write(error.message)
        write(error.backtrace)
    }

    mutating func write(_ text: String?) {
        writeInteger(UInt8(text == nil ? 0 : 1))
        if let text { write(text) }
    }

    // MARK: Reading

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(StoreError) -> Number {
        guard let number = readInteger(as: type) else { throw StoreError.unreadable }
        return number
    }

    mutating func count() throws(StoreError) -> Int { Int(try number(UInt32.self)) }

    mutating func text() throws(StoreError) -> String {
        let length = try count()
        guard let text = readString(length: length) else { throw StoreError.unreadable }
        return text
    }

    mutating func optionalText() throws(StoreError) -> String? { try number(UInt8.self) == 0 ? nil : try text() }

    mutating func bytes() throws(StoreError) -> [UInt8] {
        let length = try count()
        guard let bytes = readBytes(length: length) else { throw StoreError.unreadable }
        return bytes
    }

    mutating func instant() throws(StoreError) -> Timestamp {
        Timestamp(microseconds: try number(Int64.self))
    }

    mutating func optionalInstant() throws(StoreError) -> Timestamp? {
        let microseconds = try number(Int64.self)
        return microseconds == .min ? nil : Timestamp(microseconds: microseconds)
    }

    mutating func optionalDuration() throws(StoreError) -> Duration? {
        let microseconds = try number(Int64.self)
        return microseconds == .min ? nil : .microseconds(microseconds)
    }

    mutating func id() throws(StoreError) -> JobID {
        JobID(high: try number(), low: try number())
    }

    mutating func worker() throws(StoreError) -> WorkerID {
        guard let bytes = readBytes(length: 16), let worker = WorkerID(bytes: bytes) else {
            throw StoreError.unreadable
        }
        return worker
    }

    mutating func words() throws(StoreError) -> [String: String] {
        let count = try count()
        var words: [String: String] = [:]
        for _ in 0..<count {
            let key = try text()
            words[key] = try text()
        }
        return words
    }

    mutating func error() throws(StoreError) -> StoredError {
        StoredError(type: try text(), message: try text(), backtrace: try optionalText())
    }
}

extension StoreError {
    static let unreadable = StoreError(
        .corrupt,
        "a stored value is not what this build writes; restore a backup or start the build that wrote it"
    )
}
