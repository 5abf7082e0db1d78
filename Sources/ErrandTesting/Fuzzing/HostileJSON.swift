// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// JSON, and what is nearly JSON: texts made of the names a reader expects and of values that readers trip over, then
/// bent a little.
package struct HostileJSON: Sendable {
    /// The names that the reader looks for.
    package let names: [String]
    /// Texts that the reader accepts.
    package let corpus: [String]

    package init(names: [String], corpus: [String]) {
        (self.names, self.corpus) = (names, corpus)
    }

    /// The next text, of at most `limit` bytes.
    package func next(using generator: inout some RandomNumberGenerator, limit: Int = 1 << 20) -> [UInt8] {
        var bytes: [UInt8]
        switch generator.below(14) {
        case 0, 1: bytes = Array(generator.pick(corpus).utf8)
        case 2..<7: bytes = bent(Array(generator.pick(corpus).utf8), using: &generator)
        case 7..<10: bytes = Array(object(depth: 0, using: &generator).utf8)
        case 10: bytes = bent(Array(value(depth: 0, using: &generator).utf8), using: &generator)
        case 11: bytes = Array(value(depth: 0, using: &generator).utf8)
        case 12: bytes = deep(using: &generator)
        default: bytes = (0..<generator.below(64)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        }
        if generator.once(in: 60) { bytes = long(bytes, limit, using: &generator) }
        return Array(bytes.prefix(limit))
    }

    private static let numbers = [
        "0", "-0", "-0.0", "1", "-1", "0.1", "1e400", "-1e400", "1e-400", "1E+2", "9007199254740993",
        "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "01", "+1", ".5",
        "1.", "1e", "NaN", "Infinity", "0x10", "1_000",
    ]

    private static let strings = [
        #""""#, #""a""#, #""\u0000""#, "\"\u{0}\"", #""\ud800""#, #""\udc00\ud800""#, #""\ud83d\ude00""#, #""\uD83""#,
        #""\x""#, #""\"#, "\"\n\"", "\"\u{FEFF}\"", "\"e\u{301}👩‍👩‍👧‍👦\"", #""ada@example.com""#, #""' OR 1=1 --""#,
        #""2026-02-30""#, "\"\u{202E}\"", #""__proto__""#, "'a'",
    ]

    private func value(depth: Int, using generator: inout some RandomNumberGenerator) -> String {
        switch generator.below(depth > 4 ? 6 : 9) {
        case 0, 1: generator.pick(Self.numbers)
        case 2, 3: generator.pick(Self.strings)
        case 4: generator.pick(["null", "true", "false", "nul", "True", "undefined", ""])
        case 5: "\"\(String(repeating: "x", count: generator.below(300)))\""
        case 6: array(depth: depth, using: &generator)
        default: object(depth: depth + 1, using: &generator)
        }
    }

    private func array(depth: Int, using generator: inout some RandomNumberGenerator) -> String {
        var items: [String] = []
        for _ in 0..<generator.below(4) { items.append(value(depth: depth + 1, using: &generator)) }
        return "[" + items.joined(separator: generator.once(in: 30) ? ",," : ",") + "]"
    }

    /// Names may come twice.
    private func object(depth: Int, using generator: inout some RandomNumberGenerator) -> String {
        var items: [String] = []
        for _ in 0..<generator.below(names.count + 2) {
            let name = generator.once(in: 5) ? generator.pick(Self.strings) : "\"\(generator.pick(names))\""
            items.append(name + ":" + value(depth: depth + 1, using: &generator))
        }
        return "{" + items.joined(separator: ",") + (generator.once(in: 30) ? ",}" : "}")
    }

    private func deep(using generator: inout some RandomNumberGenerator) -> [UInt8] {
        let depth = generator.pick([100, 500, 511, 512, 513, 5000, 50_000])
        let name = generator.pick(names)
        let (open, close) = generator.pick([("[", "]"), ("{\"\(name)\":", "}"), ("[{\"\(name)\":", "}]")])
        let middle = generator.pick(["", "0", "1e400", #""\ud800""#, "[]"])
        let closed = generator.once(in: 3) ? 0 : depth
        let text = String(repeating: open, count: depth) + middle + String(repeating: close, count: closed)
        guard generator.once(in: 2) else { return Array(text.utf8) }
        return Array("{\"\(name)\":\(text)}".utf8)
    }

    /// The largest that may be, and one byte beside.
    private func long(_ bytes: [UInt8], _ limit: Int, using generator: inout some RandomNumberGenerator) -> [UInt8] {
        let missing = limit - bytes.count - generator.below(3)
        guard missing > 0 else { return bytes }
        return generator.once(in: 2)
            ? bytes + [UInt8](repeating: 0x20, count: missing)
            : Array("{\"\(generator.pick(names))\":\"".utf8) + [UInt8](repeating: 0x61, count: missing)
                + Array("\"}".utf8)
    }

    /// A few small changes: what a valid text differs by from one that a reader did not expect.
    private func bent(_ text: [UInt8], using generator: inout some RandomNumberGenerator) -> [UInt8] {
        var bytes = text
        for _ in 0..<(generator.below(4) + (generator.once(in: 6) ? 20 : 0)) {
            let place = generator.below(bytes.count + 1)
            let end = min(place + generator.below(12), bytes.count)
            switch generator.below(6) {
            case 0: if place < bytes.count { bytes[place] ^= 1 << UInt8(generator.below(8)) }
            case 1: bytes.removeSubrange(place..<end)
            case 2: bytes.insert(contentsOf: Array(bytes[place..<end]), at: place)
            case 3: bytes.insert(contentsOf: Array(generator.pick(Self.numbers + Self.strings).utf8), at: place)
            case 4:
                bytes.insert(contentsOf: generator.pick([[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0]]), at: place)
            default: bytes.replaceSubrange(place..<end, with: Array(value(depth: 3, using: &generator).utf8))
            }
        }
        return bytes
    }
}
