// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// Reads values out of a stream of bytes, RESP2 and RESP3 alike. Pure: bytes in, values out.
///
/// It goes on where it stopped, so an answer that comes in many pieces is looked at once.
public struct RESPParser: Sendable {
    /// A collection whose elements are still being read.
    private struct Frame {
        enum Kind {
            case array
            case push
            /// Facts about the value behind it, which nobody asked for.
            case attribute
        }

        let kind: Kind
        var missing: Int
        var elements: [RESPValue]
    }

    /// A string whose length is known and whose bytes are not there yet.
    private struct Body {
        enum Kind {
            case string
            case verbatim
            case error
        }

        let kind: Kind
        let length: Int
    }

    private let limits: RESPLimits
    private var frames: [Frame] = []
    private var body: Body?

    /// A parser at the start of a stream.
    public init(limits: RESPLimits = RESPLimits()) {
        self.limits = limits
    }

    /// The next whole value; `nil` when more bytes are needed. What was read is taken out of `buffer`.
    /// - Throws: ``RESPViolation``; the stream is of no use any more.
    public mutating func next(from buffer: inout ByteBuffer) throws(RESPViolation) -> RESPValue? {
        while true {
            guard let value = try scalar(from: &buffer) else { return nil }
            // A collection was opened and has no value yet.
            guard let value else { continue }
            if let whole = close(value) { return whole }
        }
    }

    /// Puts a value where it belongs; the outermost one is the answer.
    private mutating func close(_ value: RESPValue) -> RESPValue? {
        var value = value
        while var frame = frames.popLast() {
            frame.elements.append(value)
            frame.missing -= 1
            guard frame.missing == 0 else {
                frames.append(frame)
                return nil
            }
            switch frame.kind {
            case .array: value = .array(frame.elements)
            case .push: value = .push(frame.elements)
            case .attribute: return nil
            }
        }
        return value
    }

    /// A value that is no collection, or `.some(nil)` when a collection begins; `nil` when more bytes are needed.
    private mutating func scalar(from buffer: inout ByteBuffer) throws(RESPViolation) -> RESPValue?? {
        if let body { return try self.body(body, from: &buffer) }
        guard let line = try line(from: &buffer) else { return nil }
        let start = line.readerIndex
        guard let mark = line.getInteger(at: start, as: UInt8.self) else { throw RESPViolation("an empty line") }
        let rest = start + 1
        switch mark {
        case UInt8(ascii: "+"), UInt8(ascii: "("):
            return .bytes(line.getSlice(at: rest, length: line.readableBytes - 1) ?? ByteBuffer())
        case UInt8(ascii: "-"): return .error(text(of: line))
        case UInt8(ascii: ":"): return .integer(try number(in: line))
        case UInt8(ascii: "_"): return RESPValue.null
        case UInt8(ascii: ","): return .double(try double(in: line))
        case UInt8(ascii: "#"): return .boolean(try boolean(in: line))
        case UInt8(ascii: "$"): return try string(.string, in: line, from: &buffer)
        case UInt8(ascii: "="): return try string(.verbatim, in: line, from: &buffer)
        case UInt8(ascii: "!"): return try string(.error, in: line, from: &buffer)
        case UInt8(ascii: "*"), UInt8(ascii: "~"): return try open(.array, in: line, each: 1)
        case UInt8(ascii: "%"): return try open(.array, in: line, each: 2)
        case UInt8(ascii: ">"): return try open(.push, in: line, each: 1)
        case UInt8(ascii: "|"): return try open(.attribute, in: line, each: 2)
        default: throw RESPViolation("a value that begins with byte \(mark)")
        }
    }

    // MARK: Strings

    private mutating func string(
        _ kind: Body.Kind,
        in line: ByteBuffer,
        from buffer: inout ByteBuffer
    ) throws(RESPViolation) -> RESPValue?? {
        let length = try number(in: line)
        if length == -1, kind == .string { return RESPValue.null }
        guard length >= 0, length <= limits.string else {
            throw RESPViolation("a string of \(length) bytes; the limit is \(limits.string)")
        }
        let body = Body(kind: kind, length: Int(length))
        self.body = body
        return try self.body(body, from: &buffer)
    }

    private mutating func body(
        _ body: Body,
        from buffer: inout ByteBuffer
    ) throws(RESPViolation) -> RESPValue?? {
        guard buffer.readableBytes >= body.length + 2 else { return nil }
        guard var bytes = buffer.readSlice(length: body.length), buffer.readInteger(as: UInt16.self) == 0x0D0A else {
            throw RESPViolation("a string that does not end where it says")
        }
        self.body = nil
        switch body.kind {
        case .string: break
        case .error: return .error(String(buffer: bytes))
        case .verbatim:
            // Three letters of format and a colon.
            guard bytes.readableBytes >= 4 else { throw RESPViolation("a verbatim string without a format") }
            bytes.moveReaderIndex(forwardBy: 4)
        }
        return .bytes(bytes)
    }

    // MARK: Collections

    private mutating func open(
        _ kind: Frame.Kind,
        in line: ByteBuffer,
        each: Int
    ) throws(RESPViolation) -> RESPValue?? {
        let count = try number(in: line)
        if count == -1, kind == .array, each == 1 { return RESPValue.null }
        guard count >= 0, count <= limits.elements / each else {
            throw RESPViolation("a collection of \(count) elements; the limit is \(limits.elements)")
        }
        if count == 0 {
            switch kind {
            case .array: return .array([])
            case .push: return .push([])
            case .attribute: return .some(nil)
            }
        }
        guard frames.count < limits.depth else {
            throw RESPViolation("collections lie more than \(limits.depth) deep in each other")
        }
        var frame = Frame(kind: kind, missing: Int(count) * each, elements: [])
        // What a line claims costs nothing before it is there.
        frame.elements.reserveCapacity(min(frame.missing, 1024))
        frames.append(frame)
        return .some(nil)
    }

    // MARK: Lines

    /// The bytes before the next line end, which are taken out with it.
    private func line(from buffer: inout ByteBuffer) throws(RESPViolation) -> ByteBuffer? {
        let end = buffer.withUnsafeReadableBytes { bytes in bytes.firstIndex(of: 0x0D) }
        guard let end else {
            guard buffer.readableBytes <= limits.line else { throw tooLong }
            return nil
        }
        guard end <= limits.line else { throw tooLong }
        guard end + 1 < buffer.readableBytes else { return nil }
        guard let line = buffer.readSlice(length: end), buffer.readInteger(as: UInt16.self) == 0x0D0A else {
            throw RESPViolation("a line that does not end with carriage return and line feed")
        }
        return line
    }

    private var tooLong: RESPViolation { RESPViolation("a line of more than \(limits.line) bytes") }

    /// The line behind its mark.
    private func text(of line: ByteBuffer) -> String {
        line.getString(at: line.readerIndex + 1, length: line.readableBytes - 1) ?? ""
    }

    private func number(in line: ByteBuffer) throws(RESPViolation) -> Int64 {
        let value = line.withUnsafeReadableBytes { bytes -> Int64? in
            var digits = bytes[1...]
            let isNegative = digits.first == UInt8(ascii: "-")
            if isNegative || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
            guard !digits.isEmpty else { return nil }
            var value: Int64 = 0
            for digit in digits {
                guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
                // Counted down, because the lowest number has no positive twin.
                let (product, overflow) = value.multipliedReportingOverflow(by: 10)
                let (sum, overflowed) = product.subtractingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
                if overflow || overflowed { return nil }
                value = sum
            }
            if isNegative { return value }
            return value == .min ? nil : -value
        }
        guard let value else { throw RESPViolation("'\(text(of: line).prefix(40))' is not a number") }
        return value
    }

    private func double(in line: ByteBuffer) throws(RESPViolation) -> Double {
        let text = text(of: line)
        guard let value = Double(text) else { throw RESPViolation("'\(text.prefix(40))' is not a number") }
        return value
    }

    private func boolean(in line: ByteBuffer) throws(RESPViolation) -> Bool {
        switch text(of: line) {
        case "t": return true
        case "f": return false
        case let text: throw RESPViolation("'\(text.prefix(40))' is not a truth value")
        }
    }
}
