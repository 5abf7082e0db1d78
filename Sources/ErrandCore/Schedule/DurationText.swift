// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Durations of any fineness as text: `1.5s`, `-0.000001s`. Exact to the attosecond.
enum DurationText {
    private static let fractionDigits = 18

    static func text(of duration: Duration) -> String {
        let (seconds, attoseconds) = duration.bounded.components
        let sign = seconds < 0 || attoseconds < 0 ? "-" : ""
        guard attoseconds != 0 else { return "\(sign)\(seconds.magnitude)s" }
        let digits = String(attoseconds.magnitude)
        var fraction = String(repeating: "0", count: fractionDigits - digits.count) + digits
        while fraction.last == "0" { fraction.removeLast() }
        return "\(sign)\(seconds.magnitude).\(fraction)s"
    }

    /// `nil` when the text is no duration, has a finer fraction, or more seconds than 64 bits hold.
    static func duration(of text: String) -> Duration? {
        guard text.utf8.count <= 48, text.utf8.last == UInt8(ascii: "s") else { return nil }
        let isNegative = text.utf8.first == UInt8(ascii: "-")
        let number = text.utf8.dropFirst(isNegative ? 1 : 0).dropLast()
        let parts = number.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy { (0x30...0x39).contains($0) } }) else { return nil }
        let sign = isNegative ? "-" : ""
        let fraction = parts.count == 2 ? String(decoding: parts[1], as: UTF8.self) : "0"
        guard fraction.utf8.count <= fractionDigits, let whole = parts.first,
            let seconds = Int64(sign + String(decoding: whole, as: UTF8.self)),
            let attoseconds = Int64(
                sign + fraction + String(repeating: "0", count: fractionDigits - fraction.utf8.count)
            )
        else { return nil }
        return .seconds(seconds) + Duration(secondsComponent: 0, attosecondsComponent: attoseconds)
    }
}

extension Duration {
    /// This duration, or the nearest one whose seconds fit in 64 bits: taking a longer one apart would trap.
    var bounded: Duration { min(max(self, .seconds(Int64.min)), .seconds(Int64.max)) }
}
