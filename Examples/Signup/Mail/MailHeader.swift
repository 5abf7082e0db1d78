// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Text as mail headers can carry it.
///
/// Whatever the text is, it stays in its header: control characters, and with them line ends, never get through.
enum MailHeader {
    /// A line end inside a header.
    static let fold = "\r\n "

    /// Free text, for a subject: as it is when it is short printable ASCII, else as encoded words.
    static func words(_ text: String) -> String {
        let text = clean(text)
        guard isPrintable(text), text.utf8.count <= 60, !text.contains("=?") else { return encoded(text) }
        return text
    }

    /// A display name: quoted when it is short printable ASCII, else as encoded words.
    static func phrase(_ text: String) -> String {
        let text = clean(text)
        guard isPrintable(text), text.utf8.count <= 60, !text.contains("=?") else { return encoded(text) }
        let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(escaped)\""
    }

    /// An identifier: what is not a letter, digit, `-`, `.` or `_` is left out.
    static func token(_ text: String) -> String {
        text.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }
    }

    /// RFC 2047 encoded words, folded, each with whole code points, short enough for its line.
    private static func encoded(_ text: String) -> String {
        var words: [String] = []
        var word = ""
        func close() {
            if !word.isEmpty { words.append("=?UTF-8?B?\(Data(word.utf8).base64EncodedString())?=") }
            word = ""
        }
        for scalar in text.unicodeScalars {
            // 39 bytes are 52 characters of base64, 64 with what is around them, and 73 behind "Subject: ": a line
            // with encoded words may have 76.
            if word.utf8.count + UTF8.width(scalar) > 39 { close() }
            word.unicodeScalars.append(scalar)
        }
        close()
        return words.joined(separator: fold)
    }

    private static func clean(_ text: String) -> String {
        var clean = ""
        for scalar in text.unicodeScalars {
            let isControl = scalar.properties.generalCategory == .control
            let isLineEnd = scalar == "\u{2028}" || scalar == "\u{2029}"
            clean.unicodeScalars.append(isControl || isLineEnd ? " " : scalar)
        }
        return clean
    }

    private static func isPrintable(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x20...0x7E).contains($0) }
    }
}
