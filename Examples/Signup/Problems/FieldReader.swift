// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

/// Reads the fields of a request body and collects everything that is wrong, so that one answer names it all.
///
/// Read every field, then call ``finish()``; only after that are the values meant to be used.
struct FieldReader {
    private let object: [String: JSONValue]
    private var errors: [Problem.Part] = []

    /// A reader of this body.
    init(_ body: JSONValue) {
        if case .object(let object) = body {
            self.object = object
        } else {
            object = [:]
            errors = [Problem.Part(pointer: "#", detail: "must be an object, not \(body.kind)")]
        }
    }

    /// A text of `length` characters that passes `check`, which says what is wrong with it.
    mutating func text(
        _ name: String,
        length: ClosedRange<Int> = 1...200,
        check: (String) -> String? = { _ in nil }
    ) -> String {
        guard let value = object[name], value != .null else {
            fail(name, "is required")
            return ""
        }
        return text(name, value, length, check)
    }

    /// As ``text(_:length:check:)``, or `nil` when the field is not there.
    mutating func optionalText(
        _ name: String,
        length: ClosedRange<Int> = 1...200,
        check: (String) -> String? = { _ in nil }
    ) -> String? {
        guard let value = object[name], value != .null else { return nil }
        return text(name, value, length, check)
    }

    /// A whole number in `range`, or `standard` when the field is not there.
    mutating func integer(_ name: String, in range: ClosedRange<Int>, default standard: Int) -> Int {
        switch object[name] {
        case nil, .null: return standard
        case .integer(let value) where range.contains(Int(value)): return Int(value)
        default:
            fail(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return standard
        }
    }

    /// A number in `range`, or `standard` when the field is not there.
    mutating func number(_ name: String, in range: ClosedRange<Double>, default standard: Double) -> Double {
        switch object[name] {
        case nil, .null: return standard
        case .integer(let value) where range.contains(Double(value)): return Double(value)
        case .number(let value) where range.contains(value): return value
        default:
            fail(name, "must be a number from \(range.lowerBound) to \(range.upperBound)")
            return standard
        }
    }

    /// Says what is wrong with a field beside what its reading found.
    mutating func fail(_ name: String, _ detail: String) {
        guard errors.first?.pointer != "#" else { return }
        errors.append(Problem.Part(pointer: "#/\(name)", detail: detail))
    }

    /// Ends the reading.
    /// - Throws: ``Problem`` with status 422 that names each wrong field.
    func finish() throws {
        guard !errors.isEmpty else { return }
        let detail = errors.count == 1 ? "One field is wrong." : "\(errors.count) fields are wrong."
        throw Problem(.unprocessableContent, detail, errors: errors)
    }

    private mutating func text(
        _ name: String,
        _ value: JSONValue,
        _ length: ClosedRange<Int>,
        _ check: (String) -> String?
    ) -> String {
        guard case .string(let text) = value else {
            fail(name, "must be a string, not \(value.kind)")
            return ""
        }
        if !length.contains(text.count) {
            fail(name, "must have \(length.lowerBound) to \(length.upperBound) characters; it has \(text.count)")
        } else if let problem = check(text) {
            fail(name, problem)
        }
        return text
    }
}
