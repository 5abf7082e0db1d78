// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization
import TestServers
import Testing

@testable import ErrandPostgres

@Suite("PostgreSQL: where claims begin", .timeLimit(.minutes(2)))
struct PostgresFloorTests {
    /// A store whose claims begin behind what it claimed before, and its worker.
    private struct Place {
        let bench: PostgresBench
        let store: PostgresStore
        let worker: WorkerID

        init() async throws {
            bench = try PostgresBench()
            store = try bench.open()
            worker = try await bench.worker(in: store)
        }

        var lane: Int64? { store.shared.lanes.number(of: bench.job().laneKey) }
        var floor: Int64? { lane.flatMap { store.shared.floors.floor(of: $0) } }

        /// Stores and claims jobs, more than are worth a step.
        func pass() async throws {
            for _ in 0..<3 {
                let jobs = (0..<1000).map { _ in bench.job() }
                _ = try await store.insert(jobs, offer: nil)
                #expect(try await bench.claim(worker, in: store, limit: 1000).count == 1000)
            }
        }

        /// Passes until the floor is another one.
        func rise() async throws {
            let before = floor
            while floor == before { try await pass() }
        }

        func next() async throws -> JobID? { try await bench.claim(worker, in: store, limit: 1).first?.record.id }

        func notes() throws -> String { try bench.server.psql("SELECT count(*) FROM \(bench.schema).early") }
    }

    @Test("what becomes ready before the floor is found at once, by whatever road it came, and in order")
    func notes() async throws {
        let place = try await Place()
        let (bench, store) = (place.bench, place.store)
        let older = bench.job()
        _ = try await store.insert([older], offer: nil)
        let lease = try #require(try await bench.claim(place.worker, in: store).first?.lease)
        try await place.rise()
        // Another process.
        let other = try bench.open()
        let (usual, urgent) = (bench.job(), bench.job { $0.priority = .urgent })
        _ = try await other.insert([usual, urgent], offer: nil)
        let sql = try bench.server.psql("SELECT \(bench.schema).enqueue('mail', '{}', '{\"priority\": 8}')")
        #expect(try await other.settle([Settlement(lease: lease, outcome: .released)]) == [.applied(.ready)])
        #expect(try place.notes() == "3")
        #expect(try await place.next() == urgent.id)
        #expect(try await place.next() == JobID(sql))
        #expect(try await place.next() == older.id)
        #expect(try await place.next() == usual.id)
        // What a release does that knows of no floors.
        try bench.server.psql("UPDATE \(bench.schema).jobs SET state = 3, worker = NULL WHERE id = '\(older.id)'")
        #expect(try await place.next() == older.id)
        while try place.notes() != "0" { try await place.rise() }
        #expect(try await place.next() == nil)
        try await other.close()
        try await store.close()
    }

    @Test("a transaction that wrote before anybody set a head, and commits long after, loses nothing")
    func lateCommit() async throws {
        let place = try await Place()
        let connection = try await place.bench.connect()
        let (held, also) = (place.bench.job { $0.priority = .urgent }, place.bench.job())
        // So that the lane is there.
        _ = try await place.store.insert([place.bench.job()], offer: nil)
        try await connection.transaction { transaction in
            _ = try await transaction.insert([held, also], into: place.store)
            for _ in 0..<3 { try await place.pass() }
            #expect(place.floor == nil)
        }
        #expect(try await place.next() == held.id)
        #expect(try await place.next() == also.id)
        try await place.rise()
        // One that begins later is asked to note what it writes.
        try await connection.transaction { transaction in
            try await transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            try await transaction.execute("SELECT 1")
            for _ in 0..<2 { try await place.rise() }
            _ = try await transaction.insert([place.bench.job { $0.priority = .urgent }], into: place.store)
        }
        #expect(try place.notes() == "1")
        #expect(try await place.next() != nil)
        await connection.close()
        try await place.store.close()
    }

    @Test("a floor holds only where the head of the server is as high")
    func guarded() async throws {
        let place = try await Place()
        try await place.rise()
        let (schema, lane, hidden) = (place.bench.schema, try #require(place.lane), place.bench.id())
        // Written as nobody does it: without a note.
        try place.bench.server.psql(
            """
            INSERT INTO \(schema).jobs (id, place, rank, run_at, created_at, lane, state, priority, result_ttl,
                crashes_allowed, payload) VALUES ('\(hidden)', 1, 1, 1, 1, \(lane), 3, 5, 1, 2, 'null')
            """
        )
        #expect(try await place.next() == nil)
        try place.bench.server.psql("SELECT setval('\(schema).heads_\(lane % 32)', 1)")
        #expect(try await place.next() == hidden)
        try await place.store.close()
    }

    @Test("a step that fails leaves the floors, and another life of the server voids them")
    func states() {
        var state = PostgresFloorState()
        state.add([(lane: 1, rank: .min)])
        #expect(state.begin(at: .zero) == nil)
        state.add(Array(repeating: (lane: 2, rank: 5_000_000), count: PostgresFloorState.stride))
        #expect(state.begin(at: .zero)?.suffix(2) == [.ints([1, 2]), .ints([.min, 4_900_000])])
        state.add(Array(repeating: (lane: 2, rank: 6_000_000), count: PostgresFloorState.stride))
        #expect(state.begin(at: .zero) == nil)
        state.end(.init(server: 7, writers: "1/2", lanes: [(2, nil, 4_900_000)]), at: .zero)
        #expect(state.values == [.int(nil), .ints(nil), .ints(nil)])
        let second = state.begin(at: .zero)
        #expect(second?.prefix(5) == [.int(7), .ints([2]), .ints([nil]), .ints([4_900_000]), .text("1/2")])
        state.end(.init(server: 7, writers: "", lanes: [(2, 4_900_000, nil)]), at: .zero)
        #expect(state.values == [.int(7), .ints([2]), .ints([4_900_000])])
        state.add(Array(repeating: (lane: 2, rank: 7_000_000), count: PostgresFloorState.stride))
        _ = state.begin(at: .zero)
        state.end(nil, at: .zero)
        #expect(state.floor(of: 2) == 4_900_000)
        state.add(Array(repeating: (lane: 2, rank: 8_000_000), count: PostgresFloorState.stride))
        _ = state.begin(at: .zero)
        state.end(.init(server: 8, writers: "", lanes: []), at: .zero)
        #expect(state.floor(of: 2) == nil)
    }

    @Test("the look for unlisted jobs is apart and rare while it takes long, and at once after a failed call")
    func searches() {
        let searches = PostgresSearches()
        #expect(searches.next(at: .zero) == .inTheBeat)
        searches.took(.milliseconds(5), at: .seconds(1))
        #expect(searches.next(at: .seconds(1)) == .inTheBeat)
        searches.took(.seconds(1), at: .seconds(2))
        #expect(searches.next(at: .seconds(21)) == .no)
        #expect(searches.next(at: .seconds(22)) == .apart)
        searches.took(.seconds(1), at: .seconds(23))
        searches.isNeeded()
        #expect(searches.next(at: .seconds(24)) == .apart)
        #expect(searches.next(at: .seconds(24)) == .no)
    }
}
