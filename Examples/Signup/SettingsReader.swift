// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Errand
import Foundation

/// Reads settings by their environment names and collects everything that is wrong, so that one start names it all.
///
/// A variable that is empty counts as not set.
struct SettingsReader {
    private let config: ConfigReader
    private var problems: [String] = []

    init(_ config: ConfigReader) { self.config = config }

    func optionalText(_ key: String) -> String? {
        // `MAIL_FOLDER` is the environment's name of the key `mail.folder`.
        let value = config.string(forKey: ConfigKey(key.lowercased().split(separator: "_").map(String.init)))
        return value?.isEmpty == true ? nil : value
    }

    func text(_ key: String, default standard: String) -> String { optionalText(key) ?? standard }

    mutating func integer(_ key: String, in range: ClosedRange<Int>, default standard: Int) -> Int {
        guard let text = optionalText(key) else { return standard }
        guard let value = Int(text), range.contains(value) else {
            let example = "for example \(key)=\(standard)"
            fail(key, text, "write a whole number from \(range.lowerBound) to \(range.upperBound), \(example)")
            return standard
        }
        return value
    }

    mutating func milliseconds(_ key: String, default standard: Duration) -> Duration {
        let milliseconds = Int(standard / .milliseconds(1))
        return .milliseconds(integer(key, in: 1...3_600_000, default: milliseconds))
    }

    mutating func choice<Value>(
        _ key: String,
        _ values: [Value],
        named name: (Value) -> String,
        default standard: Value
    ) -> Value {
        guard let text = optionalText(key) else { return standard }
        if let value = values.first(where: { name($0) == text }) { return value }
        fail(key, text, "write one of \(values.map(name).joined(separator: ", "))")
        return standard
    }

    mutating func webAddress(_ key: String) -> String? {
        guard let text = optionalText(key) else { return nil }
        let url = URL(string: text)
        if ["http", "https"].contains(url?.scheme), url?.host()?.isEmpty == false { return text }
        fail(key, text, "write a web address, for example \(key)=http://127.0.0.1:9000/mail")
        return nil
    }

    mutating func storeAddress(_ key: String) -> String? {
        guard let text = optionalText(key) else { return nil }
        if ["postgres://", "postgresql://", "redis://", "rediss://"].contains(where: text.hasPrefix) { return text }
        // Not the text itself: an address may hold a password.
        let scheme = text.split(separator: ":").first.map(String.init) ?? ""
        fail(key, "\(scheme):…", "write postgres://… or redis://…, or leave it out for a file of this machine")
        return nil
    }

    mutating func mailAddress(_ key: String, default standard: String) -> String {
        let text = text(key, default: standard)
        if let problem = EmailAddress.problem(with: text) { fail(key, text, problem) }
        return text
    }

    /// Ends the reading.
    /// - Throws: ``StartError`` with a line for each bad value.
    func finish() throws {
        if !problems.isEmpty { throw StartError(problems.joined(separator: "\n")) }
    }

    private mutating func fail(_ key: String, _ text: String, _ advice: String) {
        problems.append("\(key) is '\(text)': \(advice).")
    }
}

/// Why the service cannot start, in words for whoever started it.
struct StartError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
