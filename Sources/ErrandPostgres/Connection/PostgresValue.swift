// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

/// A value in place of `$1`, `$2` … of a statement, sent apart from its text in PostgreSQL's binary form.
public enum PostgresValue: Sendable, Hashable {
    /// `bigint`; `nil` is `NULL`.
    case int(Int64?)
    /// `text`; write `$1::jsonb` or another cast for columns of other types.
    case text(String?)
    /// `bytea`.
    case bytes([UInt8]?)
    /// `uuid`.
    case uuid(JobID?)
    /// `boolean`.
    case bool(Bool)
    /// `bigint[]`; `nil` is `NULL` instead of an array.
    case ints([Int64?]?)
    /// `text[]`.
    case texts([String?]?)
    /// `bytea[]`.
    case blobs([[UInt8]?]?)
    /// `uuid[]`.
    case uuids([JobID?]?)
}

extension PostgresValue {
    /// PostgreSQL's number of the type.
    var type: UInt32 {
        switch self {
        case .bool: 16
        case .bytes: 17
        case .int: 20
        case .text: 25
        case .uuid: 2950
        case .blobs: 1001
        case .ints: 1016
        case .texts: 1009
        case .uuids: 2951
        }
    }
}

/// The values of one statement in one piece of memory, as libpq takes them.
struct PostgresParameters {
    private(set) var types: [UInt32] = []
    private(set) var lengths: [Int32] = []
    /// Where each value starts; `nil` for `NULL`.
    private(set) var offsets: [Int?] = []
    private(set) var bytes: [UInt8] = []

    init(_ values: [PostgresValue]) {
        for value in values { add(value) }
    }

    private mutating func add(_ value: PostgresValue) {
        let start = bytes.count
        types.append(value.type)
        guard write(value) else {
            offsets.append(nil)
            lengths.append(0)
            return
        }
        offsets.append(start)
        lengths.append(Int32(clamping: bytes.count - start))
    }

    private mutating func write(_ value: PostgresValue) -> Bool {
        switch value {
        case .int(let number): return number.map { append($0) } != nil
        case .text(let text): return text.map { bytes.append(contentsOf: $0.utf8) } != nil
        case .bytes(let blob): return blob.map { bytes.append(contentsOf: $0) } != nil
        case .uuid(let id): return id.map { append($0) } != nil
        case .bool(let flag): bytes.append(flag ? 1 : 0)
        case .ints(let list):
            return array(list, of: 20) { out, number in
                out.append(Int32(8))
                out.append(number)
            }
        case .texts(let list):
            return array(list, of: 25) { out, text in
                out.append(Int32(clamping: text.utf8.count))
                out.bytes.append(contentsOf: text.utf8)
            }
        case .blobs(let list):
            return array(list, of: 17) { out, blob in
                out.append(Int32(clamping: blob.count))
                out.bytes.append(contentsOf: blob)
            }
        case .uuids(let list):
            return array(list, of: 2950) { out, id in
                out.append(Int32(16))
                out.append(id)
            }
        }
        return true
    }

    private mutating func array<Element>(
        _ list: [Element?]?,
        of type: Int32,
        _ write: (inout PostgresParameters, Element) -> Void
    ) -> Bool {
        guard let list else { return false }
        append(Int32(list.isEmpty ? 0 : 1))
        append(Int32(list.contains { $0 == nil } ? 1 : 0))
        append(type)
        guard !list.isEmpty else { return true }
        append(Int32(clamping: list.count))
        append(Int32(1))
        for element in list {
            if let element { write(&self, element) } else { append(Int32(-1)) }
        }
        return true
    }

    private mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func append(_ id: JobID) {
        append(id.high)
        append(id.low)
    }
}
