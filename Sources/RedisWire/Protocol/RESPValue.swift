// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// One value of a server's answer, in what RESP2 and RESP3 have in common.
///
/// Bytes are slices of what was read: nothing is copied, and nothing is taken for text before somebody asks.
public enum RESPValue: Sendable, Hashable {
    /// Nothing.
    case null
    /// A bulk string, a simple string, a verbatim string without its format, or a big number.
    case bytes(ByteBuffer)
    /// An error: its first word says which.
    case error(String)
    /// An integer.
    case integer(Int64)
    /// A floating-point number (RESP3).
    case double(Double)
    /// A truth value (RESP3).
    case boolean(Bool)
    /// An array, a set, or a map with its keys and values in turn.
    case array([RESPValue])
    /// A message that answers no command (RESP3).
    case push([RESPValue])
}

extension RESPValue {
    /// The elements of an array, a set, a map or a message; `nil` for anything else.
    public var elements: [RESPValue]? {
        switch self {
        case .array(let elements), .push(let elements): elements
        case .null, .bytes, .error, .integer, .double, .boolean: nil
        }
    }

    /// The bytes of a string; `nil` for anything else.
    public var buffer: ByteBuffer? {
        if case .bytes(let buffer) = self { buffer } else { nil }
    }

    /// The string as text, with what is not UTF-8 replaced; `nil` for anything else.
    public var text: String? {
        buffer.map { String(buffer: $0) }
    }

    /// The integer, or the string that spells one; `nil` for anything else.
    public var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .bytes(let buffer): Int64(String(buffer: buffer))
        case .boolean(let value): value ? 1 : 0
        case .null, .error, .double, .array, .push: nil
        }
    }
}
