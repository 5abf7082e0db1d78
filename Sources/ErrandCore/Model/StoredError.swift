// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// An error as it is written down and shown: text only, because the type that was thrown may not exist in the
/// process that reads it.
public struct StoredError: Sendable, Hashable, Codable {
    /// The name of the error's Swift type, at most 200 bytes.
    public let type: String
    /// What it says, at most ``messageLimit`` bytes. NUL, which some engines cannot store, is shown as `␀`.
    public let message: String
    /// The error's own backtrace, if it carries one; at most ``backtraceLimit`` bytes.
    public let backtrace: String?

    /// The most bytes of ``message`` that are kept: 8 KiB.
    public static let messageLimit = 8192
    /// The most bytes of ``backtrace`` that are kept: 16 KiB.
    public static let backtraceLimit = 16_384

    /// An error from text; too long text is cut at a character and ends with `…`.
    public init(type: String, message: String, backtrace: String? = nil) {
        self.type = Self.storable(type, limit: NameRule.longest)
        self.message = Self.storable(message, limit: Self.messageLimit)
        self.backtrace = backtrace.map { Self.storable($0, limit: Self.backtraceLimit) }
    }

    /// Whether two errors are the same trouble: job name, error type and message with its numbers masked.
    ///
    /// The dead letters of a store are grouped by it. FNV-1a over the masked text, in 16 hexadecimal digits.
    public func fingerprint(of name: JobName) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var inNumber = false
        for byte in "\(name.rawValue)|\(type)|\(message.prefix(200))".utf8 {
            let isDigit = byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            if isDigit && inNumber { continue }
            inNumber = isDigit
            hash = (hash ^ UInt64(isDigit ? UInt8(ascii: "#") : byte)) &* 0x0000_0100_0000_01b3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func storable(_ text: String, limit: Int) -> String {
        let clean = text.utf8.contains(0) ? String(text.map { $0 == "\0" ? "␀" : $0 }) : text
        guard clean.utf8.count > limit else { return clean }
        var kept = ""
        var size = 3
        for character in clean {
            size += character.utf8.count
            if size > limit { break }
            kept.append(character)
        }
        return kept + "…"
    }
}
