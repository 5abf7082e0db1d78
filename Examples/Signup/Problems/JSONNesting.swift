// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Looks whether a stranger's JSON may be given to Foundation's decoder, which allows 512 levels of nesting: it refuses
/// more with an error, except that a text that ends right behind the bracket that is one too many ends the process.
enum JSONNesting {
    /// The most levels: more than any form here needs.
    static let limit = 64

    /// Whether brackets outside of strings are nested deeper than ``limit``, or the text is not UTF-8 at all, in which
    /// case this would not see them.
    static func isTooDeep(_ bytes: some Collection<UInt8>) -> Bool {
        // The decoder takes UTF-16 and UTF-32 as well, and knows them by these.
        if bytes.prefix(4).contains(0) || bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE]) {
            return true
        }
        var (depth, deepest) = (0, 0)
        var (isInString, isEscaped) = (false, false)
        for byte in bytes {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                deepest = max(deepest, depth)
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            default: break
            }
        }
        return deepest > limit
    }
}
