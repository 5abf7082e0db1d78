// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The JSON of a flat list or dictionary of strings, for tags, headers, trace and the other small texts of a row, and
/// of a list of numbers, for a statement that is about many rows.
///
/// Written here because a general coder costs more than the whole insert of a job; what it writes is ordinary
/// JSON that the engines' json functions and people can read, and it reads what it or they wrote.
package enum FlatJSON {
    package static func text(_ numbers: [Int64]) -> String {
        var out = "["
        for (index, number) in numbers.enumerated() {
            if index > 0 { out += "," }
            out += String(number)
        }
        return out + "]"
    }

    package static func text(_ list: [String]) -> String {
        var out = "["
        for (index, item) in list.enumerated() {
            if index > 0 { out += "," }
            append(item, to: &out)
        }
        return out + "]"
    }

    /// Keys are sorted, so that equal dictionaries are equal texts.
    package static func text(_ dictionary: [String: String]) -> String {
        var out = "{"
        for (index, key) in dictionary.keys.sorted().enumerated() {
            if index > 0 { out += "," }
            append(key, to: &out)
            out += ":"
            append(dictionary[key] ?? "", to: &out)
        }
        return out + "}"
    }

    package static func list(_ text: String) -> [String]? {
        strings(in: text, open: UInt8(ascii: "["), close: UInt8(ascii: "]"))
    }

    package static func dictionary(_ text: String) -> [String: String]? {
        guard let strings = strings(in: text, open: UInt8(ascii: "{"), close: UInt8(ascii: "}")),
            strings.count.isMultiple(of: 2)
        else { return nil }
        var dictionary: [String: String] = [:]
        for index in stride(from: 0, to: strings.count, by: 2) { dictionary[strings[index]] = strings[index + 1] }
        return dictionary
    }

    private static func append(_ string: String, to out: inout String) {
        out += "\""
        if string.utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            out += string
        } else {
            for scalar in string.unicodeScalars {
                switch scalar {
                case "\"": out += "\\\""
                case "\\": out += "\\\\"
                case _ where scalar.value < 0x20:
                    let digits = String(scalar.value, radix: 16)
                    out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                default: out.unicodeScalars.append(scalar)
                }
            }
        }
        out += "\""
    }

    /// The strings of the text in order; separators between them are skipped.
    private static func strings(in text: String, open: UInt8, close: UInt8) -> [String]? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 2, bytes[0] == open, bytes[bytes.count - 1] == close else { return nil }
        var strings: [String] = []
        var position = 1
        while position < bytes.count - 1 {
            if bytes[position] == UInt8(ascii: ",") || bytes[position] == UInt8(ascii: ":") {
                position += 1
                continue
            }
            guard bytes[position] == UInt8(ascii: "\""), let string = string(in: bytes, at: &position) else {
                return nil
            }
            strings.append(string)
        }
        return strings
    }

    private static func string(in bytes: [UInt8], at position: inout Int) -> String? {
        var out: [UInt8] = []
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: out, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\"), position < bytes.count else {
                out.append(byte)
                continue
            }
            let escaped = bytes[position]
            position += 1
            guard escaped == UInt8(ascii: "u") else {
                out.append(short(escaped))
                continue
            }
            guard position + 4 <= bytes.count,
                let value = UInt8(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
            else { return nil }
            out.append(value)
            position += 4
        }
        return nil
    }

    /// The byte that a letter behind a backslash stands for; engines write these letters, this type does not.
    private static func short(_ letter: UInt8) -> UInt8 {
        switch letter {
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        default: letter
        }
    }
}
