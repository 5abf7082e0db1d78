// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The one rule for names, tags, header names and unique keys: not empty, bounded, printable.
package enum NameRule {
    /// The most bytes of a job name, queue name or tag.
    package static let longest = 200

    package static func problem(with text: String, what: String, longest: Int = longest) -> String? {
        if text.isEmpty { return "the \(what) is empty; give it at least one character" }
        if text.utf8.count > longest {
            return "the \(what) has \(text.utf8.count) bytes; the limit is \(longest), so shorten it"
        }
        // Nearly every name is plain ASCII, and a look into the Unicode tables costs more than storing the job.
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return nil }
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return "the \(what) \(text.debugDescription) holds a control character; remove it"
        }
        return nil
    }
}
