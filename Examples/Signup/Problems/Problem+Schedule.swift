// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import HTTPTypes

extension Problem {
    /// Does something to a schedule, and makes problems of what Errand says against it.
    @discardableResult
    static func from<Value>(_ change: () async throws -> Value) async throws -> Value {
        do {
            return try await change()
        } catch let error as ErrandError {
            guard let status = status(for: error.code) else { throw error }
            throw Problem(status, error.message.prefix(1).uppercased() + error.message.dropFirst() + ".")
        }
    }

    private static func status(for code: ErrandError.Code) -> HTTPResponse.Status? {
        switch code {
        case .invalidSchedule, .invalidJob: .unprocessableContent
        case .scheduleNotFound: .notFound
        case .scheduleConflict: .conflict
        default: nil
        }
    }
}
