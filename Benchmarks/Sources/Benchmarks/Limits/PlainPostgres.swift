// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandPostgres

/// Jobs as plain statements on PostgreSQL, through the connections that the store uses too: one for each process that is
/// measured beside it.
struct PlainPostgres: PlainJobs {
    private let connections: [PostgresConnection]
    private let sql: PlainPostgresQueries
    private let worker: JobID
    private let ids: [JobID]
    private let payload = Array(#"{"number":12345}"#.utf8)
    private var stored = 0

    /// - Parameter count: The most jobs that will be stored; their ids are made before anything is measured.
    init(_ target: Target, storing count: Int, connections number: Int) async throws {
        let clock = SystemClock.shared
        ids = (0..<count).map { _ in Chance.system.jobID(at: clock.now) }
        worker = Chance.system.jobID(at: clock.now)
        var connections: [PostgresConnection] = []
        for _ in 0..<number {
            let connection = try await PostgresConnection.connect(target.address)
            for setting in PlainPostgresQueries.settings { try await connection.execute(setting) }
            connections.append(connection)
        }
        self.connections = connections
        let lane = "SELECT \"\(target.space)\".lane_1('plain', 'no-op', 1)"
        guard let first = try await connections.first?.execute(lane).first?.first,
            let number = first.flatMap({ Int($0) })
        else { throw VoidFigure("there is no lane for plain statements") }
        sql = PlainPostgresQueries(schema: target.space, lane: number)
    }

    func close() async {
        for connection in connections { await connection.close() }
    }

    mutating func insert(_ count: Int, commits: Int) async throws {
        let batch = Self.share(of: count, commits)
        for start in stride(from: 0, to: count, by: batch) { try await insertSome(min(batch, count - start)) }
    }

    /// Each connection claims a batch and ends it, until nothing is left.
    mutating func drain(_ count: Int, commits: Int) async throws {
        let batch = Self.share(of: 2 * count, commits)
        let ended = try await withThrowingTaskGroup(of: Int.self) { group in
            for connection in connections {
                group.addTask { [self] in
                    var ended = 0
                    while true {
                        let claimed = try await claim(batch, on: connection)
                        if claimed.isEmpty { return ended }
                        ended += try await finish(claimed, on: connection)
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        guard ended == count else { throw VoidFigure("plain statements ended \(ended) of \(count) jobs") }
    }

    mutating func live(_ count: Int, commits: Int) async throws {
        let batch = Self.share(of: 3 * count, commits)
        var (inserted, ended) = (0, 0)
        while ended < count {
            let new = min(batch, count - inserted)
            if new > 0 { try await insertSome(new) }
            inserted += new
            let claimed = try await claim(batch, on: connections[0])
            ended += try await finish(claimed, on: connections[0])
        }
    }

    private mutating func insertSome(_ count: Int) async throws {
        let values: [PostgresValue] = [
            .int(SystemClock.shared.now.microseconds), .int(Int64(stored)), .uuids(Array(ids[stored..<stored + count])),
            .blobs(Array(repeating: payload, count: count)),
        ]
        try await connections[0].execute(sql.insert, values)
        stored += count
    }

    private func claim(_ count: Int, on connection: PostgresConnection) async throws -> [JobID?] {
        let now = SystemClock.shared.now.microseconds
        let rows = try await connection.execute(sql.claim, [.int(now), .uuid(worker), .int(Int64(count))])
        return rows.map { row in row[0].flatMap { JobID($0) } }
    }

    private func finish(_ jobs: [JobID?], on connection: PostgresConnection) async throws -> Int {
        let now = SystemClock.shared.now.microseconds
        let rows = try await connection.execute(sql.finish, [.int(now), .uuid(worker), .uuids(jobs)])
        return rows.first?.first?.flatMap { Int($0) } ?? 0
    }
}
