// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The quoted-printable encoding of RFC 2045: UTF-8 text that every mail server passes on unchanged and that is
/// still readable where it is ASCII.
enum QuotedPrintable {
    /// The text with lines of at most 76 characters that end in CRLF.
    static func encode(_ text: String) -> String {
        text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            .map { encodeLine(String($0)) }
            .joined(separator: "\r\n") + "\r\n"
    }

    private static func encodeLine(_ line: String) -> String {
        var encoded = ""
        var width = 0
        let bytes = Array(line.utf8)
        for (index, byte) in bytes.enumerated() {
            let piece = piece(byte, isLast: index == bytes.count - 1)
            // One place is kept for the soft line end.
            if width + piece.utf8.count > 75 {
                encoded += "=\r\n"
                width = 0
            }
            encoded += piece
            width += piece.utf8.count
        }
        return encoded
    }

    private static func piece(_ byte: UInt8, isLast: Bool) -> String {
        let isBlank = byte == 0x20 || byte == 0x09
        let isPlain = (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "=")
        if isPlain || (isBlank && !isLast) { return String(Character(Unicode.Scalar(byte))) }
        let digits = String(byte, radix: 16, uppercase: true)
        return "=" + (byte < 16 ? "0" : "") + digits
    }
}
