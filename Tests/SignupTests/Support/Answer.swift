// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting

@testable import Signup

/// A response, its body read as JSON if it is that.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPFields
    let text: String
    let json: JSONValue?

    init(_ response: TestResponse) {
        status = response.status.code
        headers = response.headers
        text = String(buffer: response.body)
        json = try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
    }

    /// The string under this name.
    subscript(name: String) -> String? { json?[name]?.string }

    /// What a problem names as wrong, by pointer or parameter.
    var parts: [String: String] {
        guard case .array(let errors) = json?["errors"] else { return [:] }
        return errors.reduce(into: [:]) { parts, error in
            if let part = error["pointer"]?.string ?? error["parameter"]?.string {
                parts[part] = error["detail"]?.string
            }
        }
    }
}

extension JSONValue {
    subscript(name: String) -> JSONValue? {
        if case .object(let object) = self { object[name] } else { nil }
    }

    var string: String? { if case .string(let string) = self { string } else { nil } }

    var integer: Int? { if case .integer(let integer) = self { Int(integer) } else { nil } }

    var array: [JSONValue]? { if case .array(let array) = self { array } else { nil } }
}
