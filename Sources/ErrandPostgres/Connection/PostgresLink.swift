// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CLibpq
import ErrandCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// One connection of libpq; confined to the thread of its ``PostgresConnection``, which it blocks.
///
/// Every wait has a limit: after ``patience`` the server is asked to cancel, and when even that brings no answer the
/// connection is given up. A server that was stopped, or a network that swallows packets, cannot hold a thread for ever.
final class PostgresLink {
    /// Where and how to connect.
    struct Target: Sendable {
        /// What libpq takes: a connection string, a URL, or `service=…`.
        var address: String
        /// How long one statement may take, as this side measures it.
        var patience: Duration = .seconds(35)
        /// Run on each new connection.
        var greeting: [String] = []
    }

    let patience: Duration
    private let connection: OpaquePointer
    private let canceller: PostgresCanceller
    private var prepared: [String: String] = [:]
    /// Whether statements are prepared once; not behind a pooler that gives each transaction another connection.
    private(set) var prepares = false
    /// Whether something between this process and the server answers for it.
    private(set) var isPooled = false

    /// How long a cancelled statement may take to end.
    private static let lastPatience: Duration = .seconds(2)
    /// More statements than this store has; an application's own do not fill the server's memory.
    private static let mostPrepared = 200

    init(_ target: Target) throws(PostgresFailure) {
        patience = target.patience
        // Defaults first: what the address says about the same things wins.
        let settings = [
            ("connect_timeout", "5"), ("keepalives_idle", "20"), ("keepalives_interval", "5"),
            ("keepalives_count", "3"), ("tcp_user_timeout", "20000"), ("dbname", target.address),
            ("fallback_application_name", "errand"), ("client_encoding", "UTF8"),
        ]
        let opened = Self.withCStrings(settings.map(\.0)) { keys in
            Self.withCStrings(settings.map(\.1)) { values in PQconnectdbParams(keys, values, 1) }
        }
        guard let opened else { throw PostgresFailure(.connecting, "libpq has no memory for a connection") }
        connection = opened
        canceller = PostgresCanceller(PQgetCancel(opened))
        guard PQstatus(opened) == CONNECTION_OK else {
            throw PostgresFailure(.connecting, String(cString: PQerrorMessage(opened)).trimmed)
        }
        PQsetnonblocking(opened, 1)
        // Notices of the server are for people at a terminal.
        PQsetNoticeReceiver(opened, { _, _ in }, nil)
        isPooled = try backendNumber() != Int64(PQbackendPID(opened))
        prepares = !isPooled
        for statement in target.greeting where !isPooled { try run(statement) }
    }

    deinit { PQfinish(connection) }

    /// What is wrong with an address, as far as can be told without connecting.
    static func problem(with address: String) -> String? {
        var message: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(address, &message)
        defer {
            PQconninfoFree(options)
            PQfreemem(message)
        }
        guard options == nil else { return nil }
        let why = message.map { String(cString: $0).trimmed } ?? "no reason given"
        return "the address of PostgreSQL cannot be read: \(why); give a URL (postgres://…) or a connection string"
    }

    /// What the server says its version is, as 150004 for 15.4.
    var serverVersion: Int { Int(PQserverVersion(connection)) }

    /// A setting that the server tells on its own, such as `server_version`.
    func setting(_ name: String) -> String? { PQparameterStatus(connection, name).map { String(cString: $0) } }

    /// The database it is connected to.
    var database: String { PQdb(connection).map { String(cString: $0) } ?? "" }

    var cancel: PostgresCanceller { canceller }

    /// The descriptor to wait on for notifications.
    var descriptor: Int32 { PQsocket(connection) }

    /// Whether the other side is still there, as far as can be told without asking.
    var isAlive: Bool {
        guard PQstatus(connection) == CONNECTION_OK else { return false }
        guard wait(for: Int16(POLLIN), atMost: .zero) else { return true }
        return PQconsumeInput(connection) == 1 && PQstatus(connection) == CONNECTION_OK
    }

    private func backendNumber() throws(PostgresFailure) -> Int64 {
        try query("SELECT pg_backend_pid()").int64(0, 0)
    }

    /// Runs one or several statements without values; answers with the last result, in text form.
    @discardableResult
    func run(_ sql: String) throws(PostgresFailure) -> PostgresResult {
        try send(PQsendQuery(connection, sql))
        return try finish()
    }

    /// Runs one statement with values; its answer is binary unless `asText`.
    @discardableResult
    func query(
        _ sql: String,
        _ values: [PostgresValue] = [],
        asText: Bool = false
    ) throws(PostgresFailure) -> PostgresResult {
        let parameters = PostgresParameters(values)
        let name = prepares && !asText ? try preparedName(sql, parameters.types) : nil
        let sent = parameters.bytes.withUnsafeBytes { bytes in
            let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            // An empty value needs an address that is not NULL.
            let pointers = parameters.offsets.map { offset in
                offset.flatMap { (start ?? Self.nothing).advanced(by: $0) }
            }
            let formats = [Int32](repeating: 1, count: parameters.types.count)
            let count = Int32(parameters.types.count)
            if let name {
                return PQsendQueryPrepared(connection, name, count, pointers, parameters.lengths, formats, 1)
            }
            return PQsendQueryParams(
                connection,
                sql,
                count,
                parameters.types,
                pointers,
                parameters.lengths,
                formats,
                asText ? 0 : 1
            )
        }
        try send(sent)
        return try finish()
    }

    // guard: never followed; it only differs from NULL.
    nonisolated(unsafe) private static let nothing = UnsafePointer<CChar>(bitPattern: 1).unsafelyUnwrapped

    private func preparedName(_ sql: String, _ types: [UInt32]) throws(PostgresFailure) -> String? {
        if let name = prepared[sql] { return name }
        guard prepared.count < Self.mostPrepared else { return nil }
        let name = "errand_\(prepared.count)"
        try send(PQsendPrepare(connection, name, sql, Int32(types.count), types))
        _ = try finish()
        prepared[sql] = name
        return name
    }

    /// Forgets what was prepared; after a change of the schema plans are made anew.
    func forgetPrepared() throws(PostgresFailure) {
        prepared.removeAll()
        try run("DEALLOCATE ALL")
    }

    // MARK: Waiting

    private func send(_ accepted: Int32) throws(PostgresFailure) {
        guard accepted == 1 else { throw broken() }
    }

    private func broken() -> PostgresFailure {
        PostgresFailure(.lost, String(cString: PQerrorMessage(connection)).trimmed)
    }

    /// Collects the answer; of several results the last, or the error.
    private func finish() throws(PostgresFailure) -> PostgresResult {
        var last: PostgresResult?
        var failure: PostgresFailure?
        try flush()
        while let result = try next() {
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: last = PostgresResult(result)
            default:
                // Nobody gives data to or takes it from a COPY here; libpq ends it when the next statement is sent.
                failure = failure ?? PostgresFailure(result, isAlive: PQstatus(connection) == CONNECTION_OK)
                PQclear(result)
                if PQstatus(connection) != CONNECTION_OK { throw failure ?? broken() }
            }
        }
        if let failure { throw failure }
        guard let last else { throw broken() }
        return last
    }

    private func flush() throws(PostgresFailure) {
        let deadline = SystemClock.shared.uptime + patience
        while true {
            let left = PQflush(connection)
            if left == 0 { return }
            guard left == 1 else { throw broken() }
            guard wait(for: Int16(POLLIN | POLLOUT), atMost: deadline - SystemClock.shared.uptime) else {
                throw PostgresFailure(.late, "the server takes no data")
            }
            // A server that answers before it has read all must be heard, or both wait for each other.
            guard PQconsumeInput(connection) == 1 else { throw broken() }
        }
    }

    private func next() throws(PostgresFailure) -> OpaquePointer? {
        var deadline = SystemClock.shared.uptime + patience
        var isCancelled = false
        while PQisBusy(connection) == 1 {
            if wait(for: Int16(POLLIN), atMost: deadline - SystemClock.shared.uptime) {
                guard PQconsumeInput(connection) == 1 else { throw broken() }
            } else if isCancelled {
                throw PostgresFailure(.late, "the server did not answer within \(patience.inSeconds) s")
            } else {
                isCancelled = true
                canceller.cancel()
                deadline = SystemClock.shared.uptime + Self.lastPatience
            }
        }
        return PQgetResult(connection)
    }

    /// Whether the descriptor became ready in time.
    private func wait(for events: Int16, atMost limit: Duration) -> Bool {
        var watched = pollfd(fd: PQsocket(connection), events: events, revents: 0)
        let milliseconds = max(limit, .zero).wholeMicroseconds / 1000
        return poll(&watched, 1, Int32(clamping: milliseconds)) != 0
    }

    // MARK: Notifications

    /// The notifications that have come, as channel and payload, without waiting for more.
    func notifications() throws(PostgresFailure) -> [(channel: String, payload: String)] {
        guard PQconsumeInput(connection) == 1 else { throw broken() }
        var found: [(channel: String, payload: String)] = []
        while let notification = PQnotifies(connection) {
            let fields = notification.pointee
            found.append((String(cString: fields.relname), String(cString: fields.extra)))
            PQfreemem(notification)
        }
        return found
    }

    private static func withCStrings<Answer>(
        _ texts: [String],
        _ body: ([UnsafePointer<CChar>?]) -> Answer
    ) -> Answer {
        let copies = texts.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies.map { UnsafePointer($0) } + [nil])
    }
}
