// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import GRDB

extension StoreError {
    /// What an error of SQLite means to a caller, and what to do about it.
    ///
    /// - Parameter duringCommit: Whether `COMMIT` itself failed. Then an error of the disk leaves open whether the
    ///   transaction would be found after a crash.
    init(sqlite error: DatabaseError, duringCommit: Bool = false) {
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(.unavailable, "another process is writing the database; try again", cause: error)
        case .SQLITE_FULL:
            self.init(
                .full,
                "the disk is full or the database reached its limit; free space, then try again",
                cause: error
            )
        case .SQLITE_IOERR where duringCommit:
            self.init(
                .outcomeUnknown,
                "the disk failed during the commit; repeat the call, which is safe, when the disk works again",
                cause: error
            )
        case .SQLITE_IOERR:
            self.init(.unavailable, "the disk failed; nothing was written; check the disk and try again", cause: error)
        case .SQLITE_NOTADB:
            self.init(.corrupt, "the file is not an SQLite database; give another path", cause: error)
        case .SQLITE_CORRUPT:
            self.init(.corrupt, "the database is damaged; restore a backup, or use SQLite's .recover", cause: error)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            self.init(
                .unavailable,
                "the database or its folder cannot be written; give the process the right to",
                cause: error
            )
        case .SQLITE_CANTOPEN:
            self.init(
                .notFound,
                "the database cannot be opened; check that its folder exists and can be written",
                cause: error
            )
        case .SQLITE_TOOBIG:
            self.init(.invalid, "a value is larger than SQLite stores; keep the data elsewhere", cause: error)
        case .SQLITE_NOMEM, .SQLITE_INTERRUPT, .SQLITE_ABORT, .SQLITE_PROTOCOL:
            self.init(.unavailable, "SQLite gave up; nothing was written; try again", cause: error)
        case .SQLITE_CONSTRAINT, .SQLITE_MISMATCH:
            self.init(
                .corrupt,
                "the database refused a row that breaks its rules; run maintenance's recount",
                cause: error
            )
        case .SQLITE_SCHEMA:
            self.init(.incompatible, "the schema changed while it was in use; open the store again", cause: error)
        case .SQLITE_MISUSE:
            self.init(.closed, "the database connection was closed; open the store again", cause: error)
        default:
            self.init(.unavailable, "SQLite reported an error; nothing was written", cause: error)
        }
    }

    /// Any error as a ``StoreError``; a store throws nothing else.
    init(any error: any Error, duringCommit: Bool = false) {
        switch error {
        case let error as StoreError: self = error
        case let error as DatabaseError: self.init(sqlite: error, duringCommit: duringCommit)
        default: self.init(.unavailable, "the database failed; nothing was written; try again", cause: error)
        }
    }

    static let storeClosed = StoreError(.closed, "the store was closed; open a new one")
}
