// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// A command with its arguments, encoded as it is made.
///
/// Arguments are bytes behind their length: nothing in them can end the argument or begin another.
public struct RedisCommand: Sendable {
    /// How many words it has.
    public private(set) var count = 0
    private var body: ByteBuffer

    /// A command without words; `capacity` is how many bytes they will have together, about.
    public init(capacity: Int = 64) {
        body = ByteBuffer()
        body.reserveCapacity(capacity)
    }

    /// A command of these words.
    public init(_ words: String...) {
        self.init(words)
    }

    /// A command of these words.
    public init(_ words: [String]) {
        self.init(capacity: words.reduce(0) { $0 + $1.utf8.count + 16 })
        for word in words { append(word) }
    }

    /// Adds an argument.
    public mutating func append(_ text: String) {
        open(text.utf8.count)
        body.writeString(text)
        close()
    }

    /// Adds a number in decimal digits.
    public mutating func append(_ number: Int64) {
        append(String(number))
    }

    /// Adds a number in decimal digits.
    public mutating func append(_ number: Int) {
        append(String(number))
    }

    /// Adds an argument.
    public mutating func append(_ bytes: some Collection<UInt8>) {
        open(bytes.count)
        body.writeBytes(bytes)
        close()
    }

    /// Adds an argument.
    public mutating func append(_ buffer: ByteBuffer) {
        open(buffer.readableBytes)
        body.writeImmutableBuffer(buffer)
        close()
    }

    /// How many bytes go over the wire, about.
    public var size: Int { body.readableBytes + 8 }

    /// Writes it as it goes over the wire.
    func write(to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "*"))
        buffer.writeString(String(count))
        buffer.writeInteger(0x0D0A, as: UInt16.self)
        buffer.writeImmutableBuffer(body)
    }

    private mutating func open(_ length: Int) {
        count += 1
        body.writeInteger(UInt8(ascii: "$"))
        body.writeString(String(length))
        body.writeInteger(0x0D0A, as: UInt16.self)
    }

    private mutating func close() {
        body.writeInteger(0x0D0A, as: UInt16.self)
    }
}
