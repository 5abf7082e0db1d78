// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CLibpq
import ErrandCore

/// What a connection met, before it is known what that means for the call.
struct PostgresFailure: Error, CustomStringConvertible {
    enum Kind: Equatable {
        /// No connection could be made.
        case connecting
        /// The server refused the statement; what it did is undone.
        case refused
        /// The connection broke or the server ended it, with a statement under way or without.
        case lost
        /// No answer came in time; the connection is given up.
        case late
    }

    var kind: Kind
    /// Whether a commit was under way.
    var moment = PostgresMoment.open
    /// PostgreSQL's five characters; empty when the server did not speak.
    var code = ""
    var message: String

    var description: String { code.isEmpty ? message : "\(message) [\(code)]" }

    /// Whether the same transaction may succeed when it is simply run again.
    var isConflict: Bool { code == "40001" || code == "40P01" }

    /// Whether a lock was not to be had in time.
    var isLockTimeout: Bool { code == "55P03" }

    /// Whether the connection is of no more use.
    var endsConnection: Bool { kind != .refused }

    /// What a result with an error says.
    init(_ result: OpaquePointer, isAlive: Bool) {
        func field(_ which: UnicodeScalar) -> String? {
            PQresultErrorField(result, Int32(which.value)).map { String(cString: $0) }
        }
        let severity = field("V") ?? "ERROR"
        kind = isAlive && severity == "ERROR" ? .refused : .lost
        code = field("C") ?? ""
        message = field("M") ?? String(cString: PQresultErrorMessage(result)).trimmed
        if let detail = field("D") { message += "; \(detail)" }
    }

    init(_ kind: Kind, code: String = "", _ message: String) {
        (self.kind, self.code, self.message) = (kind, code, message)
    }
}

extension String {
    /// Without line ends at its end, which libpq puts there.
    var trimmed: String {
        var text = self[...]
        while text.last?.isNewline == true { text = text.dropLast() }
        return String(text).replacing("\n", with: " ")
    }
}
