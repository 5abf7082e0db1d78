// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration

/// Sets a setting when its key is there, and refuses a value that cannot be used instead of ignoring it.
extension ConfigReader {
    private func whole(_ key: String, atLeast lowest: Int) throws(ErrandError) -> Int? {
        let number = int(forKey: ConfigKey(stringLiteral: key))
        // A text that is no number reads as nil, like a key that is absent; only as a string can it be seen.
        let text = number.map(String.init) ?? string(forKey: ConfigKey(stringLiteral: key))
        guard let text else { return nil }
        guard let number, number >= lowest else {
            throw ErrandError(
                .invalidConfiguration,
                "\(key): '\(text)' cannot be used; give a whole number of \(lowest) or more"
            )
        }
        return number
    }

    func set(_ value: inout Int, _ key: String, atLeast lowest: Int) throws(ErrandError) {
        if let number = try whole(key, atLeast: lowest) { value = number }
    }

    func set(_ value: inout Int?, _ key: String, atLeast lowest: Int) throws(ErrandError) {
        if let number = try whole(key, atLeast: lowest) { value = number }
    }

    func set(_ value: inout Duration, _ key: String) throws(ErrandError) {
        if let number = try whole(key, atLeast: 0) { value = .milliseconds(number) }
    }

    /// 0 stands for none.
    func set(_ value: inout Duration?, _ key: String) throws(ErrandError) {
        if let number = try whole(key, atLeast: 0) { value = number == 0 ? nil : .milliseconds(number) }
    }

    func set<Word: RawRepresentable<String>>(_ value: inout Word, _ key: String) throws(ErrandError) {
        guard let text = string(forKey: ConfigKey(stringLiteral: key)) else { return }
        guard let word = Word(rawValue: text) else {
            throw ErrandError(.invalidConfiguration, "\(key): '\(text)' is not one of the words it can be")
        }
        value = word
    }
}
