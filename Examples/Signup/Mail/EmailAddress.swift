// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What this service takes for an address: `local@domain` in ASCII, as nearly every mailbox has it.
///
/// Quoted local parts, comments and address literals are legal in RFC 5322 and refused here on purpose: the form
/// that cannot be misread is also the one that cannot smuggle a header into a message.
enum EmailAddress {
    /// What is wrong with the text as an address; `nil` when it is one.
    static func problem(with text: String) -> String? {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return "must be an address like ada@example.com" }
        guard text.utf8.count <= 254, parts[0].utf8.count <= 64 else { return "is longer than an address may be" }
        guard isDotted(parts[0], isAllowed: isLocal) else {
            return "has characters before the @ that this service does not take"
        }
        let labels = parts[1].split(separator: ".", omittingEmptySubsequences: false)
        guard labels.count >= 2, labels.allSatisfy(isLabel) else { return "must have a domain like example.com" }
        return nil
    }

    private static func isDotted(_ text: Substring, isAllowed: (UInt8) -> Bool) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false)
            .allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(isAllowed) }
    }

    private static func isLabel(_ label: Substring) -> Bool {
        (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
            && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }

    /// The `atext` of RFC 5322.
    private static func isLocal(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }
}
