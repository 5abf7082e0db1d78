// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import NIOCore
import RedisWire
import Testing

@Suite("Reading the protocol")
struct RESPParserTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let bytes: String
        let value: RESPValue

        var testDescription: String { bytes.debugDescription }
    }

    private static func bytes(_ text: String) -> RESPValue { .bytes(ByteBuffer(string: text)) }

    static let examples: [Example] = [
        Example(bytes: "+OK\r\n", value: bytes("OK")),
        Example(bytes: "+\r\n", value: bytes("")),
        Example(bytes: "-ERR no\r\n", value: .error("ERR no")),
        Example(bytes: ":0\r\n", value: .integer(0)),
        Example(bytes: ":-42\r\n", value: .integer(-42)),
        Example(bytes: ":+7\r\n", value: .integer(7)),
        Example(bytes: ":9223372036854775807\r\n", value: .integer(.max)),
        Example(bytes: ":-9223372036854775808\r\n", value: .integer(.min)),
        Example(bytes: "$5\r\nhello\r\n", value: bytes("hello")),
        Example(bytes: "$0\r\n\r\n", value: bytes("")),
        Example(bytes: "$2\r\n\r\n\r\n", value: bytes("\r\n")),
        Example(bytes: "$-1\r\n", value: .null),
        Example(bytes: "*-1\r\n", value: .null),
        Example(bytes: "_\r\n", value: .null),
        Example(bytes: "*0\r\n", value: .array([])),
        Example(bytes: "*2\r\n:1\r\n*1\r\n+a\r\n", value: .array([.integer(1), .array([bytes("a")])])),
        Example(bytes: "~2\r\n:1\r\n:2\r\n", value: .array([.integer(1), .integer(2)])),
        Example(bytes: "%1\r\n+k\r\n:2\r\n", value: .array([bytes("k"), .integer(2)])),
        Example(bytes: "%0\r\n", value: .array([])),
        Example(bytes: ">2\r\n+message\r\n+x\r\n", value: .push([bytes("message"), bytes("x")])),
        Example(bytes: "|1\r\n+ttl\r\n:9\r\n:5\r\n", value: .integer(5)),
        Example(bytes: "*1\r\n|1\r\n+ttl\r\n:9\r\n:5\r\n", value: .array([.integer(5)])),
        Example(bytes: ",1.5\r\n", value: .double(1.5)),
        Example(bytes: ",inf\r\n", value: .double(.infinity)),
        Example(bytes: "#t\r\n", value: .boolean(true)),
        Example(bytes: "#f\r\n", value: .boolean(false)),
        Example(bytes: "(12345678901234567890\r\n", value: bytes("12345678901234567890")),
        Example(bytes: "=7\r\ntxt:abc\r\n", value: bytes("abc")),
        Example(bytes: "!5\r\nERR x\r\n", value: .error("ERR x")),
    ]

    @Test("every kind of value, whole and byte by byte", arguments: examples)
    func reads(_ example: Example) throws {
        var parser = RESPParser()
        var buffer = ByteBuffer(string: example.bytes + "+next\r\n")
        holds(try parser.next(from: &buffer) == example.value)
        holds(try parser.next(from: &buffer) == .bytes(ByteBuffer(string: "next")))
        #expect(buffer.readableBytes == 0)

        parser = RESPParser()
        buffer = ByteBuffer()
        let all = Array(example.bytes.utf8)
        for byte in all.dropLast() {
            buffer.writeInteger(byte)
            holds(try parser.next(from: &buffer) == nil)
        }
        buffer.writeInteger(all[all.count - 1])
        holds(try parser.next(from: &buffer) == example.value)
    }

    static let violations = [
        "x\r\n", "\r\n", ":\r\n", ":1a\r\n", ":9223372036854775808\r\n", "$-2\r\n", "$x\r\n", "$3\r\nabcd\r\n",
        "$1\r\na\rb",
        "*-2\r\n", "*9999999999\r\n", "$9999999999\r\n", ",x\r\n", "#x\r\n", "=2\r\nab\r\n", "%-1\r\n", ":1\rx",
        String(repeating: "*1\r\n", count: 100), "+" + String(repeating: "a", count: 70_000),
        "%9223372036854775807\r\n",
    ]

    @Test("what is not the protocol, or too much of it, is refused", arguments: violations)
    func refuses(_ bytes: String) {
        var parser = RESPParser()
        var buffer = ByteBuffer(string: bytes)
        #expect(throws: RESPViolation.self) { while try parser.next(from: &buffer) != nil {} }
    }

    @Test("a count that is only claimed costs no memory")
    func claims() throws {
        var parser = RESPParser()
        for _ in 0..<10 {
            var buffer = ByteBuffer(string: "*2000000\r\n$60000000\r\n")
            holds(try parser.next(from: &buffer) == nil)
            parser = RESPParser()
        }
    }

    @Test("no bytes bring it down, and pieces make no difference", arguments: 1...40 as ClosedRange<UInt64>)
    func fuzz(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let bytes = Self.hostile(using: &generator)
            let whole = Self.read([bytes])
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            let pieces = Self.read([Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(whole.values == pieces.values, "cut at \(cut) of \(bytes)")
            #expect(whole.isBroken == pieces.isBroken)
        }
    }

    /// Real answers with some bytes changed, doubled or missing.
    private static func hostile(using generator: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
            bytes += Array((examples.randomElement(using: &generator)?.bytes ?? "").utf8)
        }
        for _ in 0..<Int.random(in: 0...4, using: &generator) {
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.insert(bytes[index], at: index)
            default: if bytes.count > 1 { bytes.remove(at: index) }
            }
        }
        return bytes
    }

    private static func read(_ pieces: [[UInt8]]) -> (values: [RESPValue], isBroken: Bool) {
        var parser = RESPParser()
        var buffer = ByteBuffer()
        var values: [RESPValue] = []
        do {
            for piece in pieces {
                buffer.writeBytes(piece)
                while let value = try parser.next(from: &buffer) { values.append(value) }
            }
            return (values, false)
        } catch {
            return (values, true)
        }
    }
}
