// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// What was under way when something went wrong; decides whether a write may have happened.
enum PostgresMoment {
    /// Making a connection.
    case connecting
    /// Something that writes nothing, or whose transaction has not been asked to commit.
    case open
    /// A statement that commits by itself, or the commit of a transaction.
    case committing
}

extension StoreError {
    /// What an error of PostgreSQL or of the way to it means to a caller, and what to do about it.
    init(postgres failure: PostgresFailure, _ moment: PostgresMoment = .open) {
        let moment = failure.moment == .open ? moment : failure.moment
        switch failure.kind {
        case .connecting: self.init(connecting: failure)
        case .lost where moment == .committing, .late where moment == .committing:
            self.init(
                .outcomeUnknown,
                "the connection to PostgreSQL was lost during a commit; repeat the call, which is safe",
                cause: failure
            )
        case .lost, .late:
            self.init(
                .unavailable,
                "the connection to PostgreSQL was lost; nothing was written; it is tried again by itself",
                cause: failure
            )
        case .refused: self.init(refused: failure)
        }
    }

    private init(refused failure: PostgresFailure) {
        switch (failure.code, failure.code.prefix(2)) {
        case ("53100", _):
            self.init(.full, "PostgreSQL's disk is full; free space there, then try again", cause: failure)
        case ("25006", _):
            self.init(
                .unavailable,
                "PostgreSQL is read-only here: connect to the primary (target_session_attrs=read-write finds it among "
                    + "several hosts), or wait until the failover is over",
                cause: failure
            )
        case ("42501", _):
            self.init(
                .unavailable,
                "the database user lacks a privilege: grant it, or let the owner of the schema run the migrations",
                cause: failure
            )
        case ("55P03", _):
            self.init(
                .unavailable,
                "a row is held by an open transaction; nothing was written; try again when it has ended",
                cause: failure
            )
        case ("57014", _):
            self.init(
                .unavailable,
                "the statement took longer than its limit and was stopped; nothing was written; try again",
                cause: failure
            )
        case ("40001", _), ("40P01", _):
            self.init(
                .unavailable,
                "other transactions were in the way again and again; nothing was written; try again",
                cause: failure
            )
        case ("42P01", _), ("42883", _), ("3F000", _), ("42703", _):
            self.init(
                .incompatible,
                "the schema of the jobs is missing or another one: run the migrations of this build",
                cause: failure
            )
        case (_, "22"):
            self.init(.invalid, "PostgreSQL cannot store a value; nothing was written", cause: failure)
        case (_, "23"):
            self.init(
                .corrupt,
                "PostgreSQL refused a row that breaks its rules; run maintenance's recount",
                cause: failure
            )
        case (_, "54"):
            self.init(.invalid, "a value is larger than PostgreSQL stores; keep the data elsewhere", cause: failure)
        case (_, "53"):
            self.init(.unavailable, "PostgreSQL is short of memory or connections; try again", cause: failure)
        case (_, "XX"):
            self.init(.corrupt, "PostgreSQL found its files damaged; restore a backup", cause: failure)
        default:
            self.init(.unavailable, "PostgreSQL reported an error; nothing was written", cause: failure)
        }
    }

    /// Failures before there is a connection come as text: libpq keeps no code for them.
    private init(connecting failure: PostgresFailure) {
        let text = failure.message
        func says(_ words: String...) -> Bool { words.contains { text.contains($0) } }
        switch true {
        case says("password authentication failed", "no password supplied", "SASL authentication failed"):
            self.init(
                .unavailable,
                "PostgreSQL refuses the user or the password; correct the connection string",
                cause: failure
            )
        case says("pg_hba.conf"):
            self.init(
                .unavailable,
                "PostgreSQL's pg_hba.conf does not let this user in from here; add a line for it, or use TLS",
                cause: failure
            )
        case says("role \"") && says("does not exist"):
            self.init(
                .unavailable,
                "PostgreSQL does not know the user; create it or correct the connection string",
                cause: failure
            )
        case (says("database \"") && says("does not exist")) || says("no such database"):
            self.init(
                .notFound,
                "the database does not exist; create it or correct the connection string",
                cause: failure
            )
        case says("permission denied for database"):
            self.init(
                .unavailable,
                "the database user lacks the privilege CONNECT; grant it on this database",
                cause: failure
            )
        case says("could not translate host name"):
            self.init(
                .unavailable,
                "the host of PostgreSQL is unknown; correct the connection string or the name service",
                cause: failure
            )
        case says("too many clients", "remaining connection slots", "too many connections", "no more connections"):
            self.init(
                .unavailable,
                "PostgreSQL has no free connection; raise max_connections, lower the pool, or put PgBouncer before it",
                cause: failure
            )
        case says("certificate", "SSL error", "server does not support SSL"):
            self.init(
                .unavailable,
                "the TLS connection to PostgreSQL was not made; check sslmode, sslrootcert and the server's certificate",
                cause: failure
            )
        case says("session is read-only", "server is in hot standby", "session is not read-only"):
            self.init(
                .unavailable,
                "no server that takes writes was found among the hosts; wait until the failover is over",
                cause: failure
            )
        default:
            self.init(
                .unavailable,
                "PostgreSQL cannot be reached; check that it runs and that the connection string is right",
                cause: failure
            )
        }
    }

    /// Any error as a ``StoreError``; a store throws nothing else.
    init(any error: any Error, _ moment: PostgresMoment = .open) {
        switch error {
        case let error as StoreError: self = error
        case let failure as PostgresFailure: self.init(postgres: failure, moment)
        default: self.init(.unavailable, "PostgreSQL reported an error; nothing was written; try again", cause: error)
        }
    }

    static let storeClosed = StoreError(.closed, "the store was closed; open a new one")
}
