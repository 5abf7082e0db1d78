// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import GRDB
import Testing

@testable import ErrandSQLite

@Suite("The SQLite file", .timeLimit(.minutes(3)))
struct SQLiteFileTests {
    @Test(
        "durability is what the connection really has",
        arguments: [StoreDescription.Durability.powerLoss, .processCrash]
    )
    func durability(_ durability: StoreDescription.Durability) async throws {
        let bench = try Bench()
        let store = try bench.open { $0.durability = durability }
        let synchronous = try await store.pool.writeWithoutTransaction {
            try Int.fetchOne($0, sql: "PRAGMA synchronous")
        }
        #expect(synchronous == (durability == .powerLoss ? 2 : 1))
        let mode = try await store.pool.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") }
        #expect(mode == "wal")
        let facts = await store.describe()
        #expect(facts.durability == durability)
        #expect(facts.schemaVersion == SQLiteMigrations.latest)
        #expect(facts.warnings.isEmpty)
        try await store.close()
    }

    @Test("a pool of the application with a weaker flush is reported, one with FULL is not")
    func sharing() async throws {
        let bench = try Bench()
        let pool = try DatabasePool(path: bench.file)
        let weak = try SQLiteStore(sharing: pool, clock: bench.clock)
        let facts = await weak.describe()
        #expect(facts.durability == .processCrash)
        #expect(facts.warnings.contains { $0.contains("PRAGMA synchronous = FULL") })
        try await weak.close()
        try await pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        let strong = try SQLiteStore(sharing: pool, clock: bench.clock)
        #expect(await strong.describe().durability == .powerLoss)
        try await strong.close()
        // The pool is the application's: it is still open.
        #expect(try await pool.read { try Int.fetchOne($0, sql: "SELECT 1") } == 1)
        try pool.close()
    }

    @Test("closing copies the log into the file and removes it; the last of several stores does")
    func closing() async throws {
        let bench = try Bench()
        let (store, other) = (try bench.open(), try bench.open())
        let job = bench.job()
        _ = try await store.insert([job], offer: nil)
        #expect(try await other.jobs([job.id], parts: .all).count == 1)
        let log = bench.file + "-wal"
        try await store.close()
        #expect(FileManager.default.fileExists(atPath: log))
        try await other.close()
        #expect(!FileManager.default.fileExists(atPath: log))
        let next = try bench.open()
        #expect(try await next.jobs([job.id], parts: .all).count == 1)
        try await next.close()
    }

    @Test("the tables of an application stay untouched beside ours")
    func neighbours() async throws {
        let bench = try Bench()
        let pool = try DatabasePool(path: bench.file)
        try await pool.write { try $0.execute(sql: "CREATE TABLE jobs (id INTEGER); PRAGMA user_version = 42") }
        let store = try SQLiteStore(sharing: pool, clock: bench.clock)
        _ = try await store.insert([bench.job()], offer: nil)
        let names = try await pool.read { db in
            try String.fetchAll(db, sql: "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        }
        #expect(names.filter { !$0.hasPrefix("errand_") } == ["jobs"])
        #expect(try await pool.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == 42)
        try await store.close()
    }

    @Test("many that open a new file at once all succeed and migrate it once")
    func openTogether() async throws {
        let bench = try Bench()
        try await withThrowingTaskGroup(of: SQLiteStore.self) { group in
            for _ in 0..<8 { group.addTask { try bench.open() } }
            for try await store in group {
                #expect(await store.describe().schemaVersion == SQLiteMigrations.latest)
                try await store.close()
            }
        }
        let again = try bench.open()
        let count = try await again.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM errand_migrations") }
        #expect(count == SQLiteMigrations.latest)
        try await again.close()
    }

    @Test("a database of a newer build is refused and left alone")
    func newer() async throws {
        let bench = try Bench()
        try await bench.open().close()
        let queue = try DatabaseQueue(path: bench.file)
        try await queue.write { try $0.execute(sql: "INSERT INTO errand_migrations (number) VALUES (999)") }
        #expect(await code { _ = try bench.open() } == .incompatible)
        #expect(try await queue.read { try Int.fetchOne($0, sql: "SELECT max(number) FROM errand_migrations") } == 999)
    }

    @Test("a path that cannot work is refused with a sentence that says why")
    func paths() async throws {
        let bench = try Bench()
        let configuration = SQLiteConfiguration()
        for path in ["", ":memory:", "file:x.db"] {
            #expect(await code { _ = try SQLiteStore(path: path, configuration: configuration) } == .invalid)
        }
        let missing = bench.folder + "/nowhere/jobs.db"
        #expect(await code { _ = try SQLiteStore(path: missing, configuration: configuration) } == .notFound)
        let text = bench.folder + "/notes.txt"
        let words = String(repeating: "this is not a database ", count: 500)
        try words.write(toFile: text, atomically: true, encoding: .utf8)
        #expect(await code { _ = try SQLiteStore(path: text, configuration: configuration) } == .corrupt)
    }

    @Test("a damaged page is an error that says so, not a trap")
    func damaged() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let jobs = (0..<500).map { _ in bench.job(bytes: [UInt8](repeating: 9, count: 300)) }
        _ = try await store.insert(jobs, offer: nil)
        try await store.close()
        let file = try #require(FileHandle(forUpdatingAtPath: bench.file))
        let size = try file.seekToEnd()
        for page in stride(from: UInt64(4096 * 2), to: size, by: 4096) {
            try file.seek(toOffset: page)
            try file.write(contentsOf: [UInt8](repeating: 0x5A, count: 512))
        }
        try file.close()
        #expect(
            await code {
                let store = try bench.open()
                _ = try await store.jobs(jobs.map(\.id), parts: .all)
            } == .corrupt
        )
    }

    @Test(
        "network file systems are told from local ones",
        arguments: [
            ("ext4", false), ("xfs", false), ("btrfs", false), ("overlay", false), ("tmpfs", false), ("zfs", false),
            ("fuseblk", false), ("nfs", true), ("nfs4", true), ("cifs", true), ("smb3", true), ("9p", true),
            ("fuse.sshfs", true), ("fuse.s3fs", true), ("ceph", true), ("virtiofs", true), ("vboxsf", true),
            ("prl_fs", true), ("vmhgfs", true), ("fuse.vmhgfs-fuse", true), ("drvfs", true),
        ]
    )
    func network(_ kind: String, _ isNetwork: Bool) {
        #expect(FileSystemCheck.isNetwork(kind) == isNetwork)
    }

    @Test("a link to the database is judged by where it leads", arguments: ["/far/jobs.db", "far/jobs.db"])
    func linkToNetwork(_ target: String) async throws {
        let bench = try Bench()
        let far = bench.folder + "/far"
        try FileManager.default.createDirectory(atPath: far, withIntermediateDirectories: true)
        let target = target.hasPrefix("/") ? bench.folder + target : target
        let (link, second) = (bench.file, bench.folder + "/second.db")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        try FileManager.default.createSymbolicLink(atPath: second, withDestinationPath: "jobs.db")
        for path in [link, second] {
            let refusal = await code {
                try SQLiteFile.check(path, SQLiteConfiguration()) { $0 == far ? "nfs4" : "ext4" }
            }
            #expect(refusal == .unsupported)
            try SQLiteFile.check(path, SQLiteConfiguration()) { $0 == far ? "ext4" : "nfs4" }
            var careless = SQLiteConfiguration()
            careless.refusesNetworkFileSystems = false
            try SQLiteFile.check(path, careless) { _ in "nfs4" }
        }
        let store = try bench.open()
        _ = try await store.insert([bench.job()], offer: nil)
        #expect(FileManager.default.fileExists(atPath: far + "/jobs.db"))
        try await store.close()
    }

    @Test("links that lead nowhere are refused with a sentence that says why")
    func badLinks() async throws {
        let bench = try Bench()
        let (missing, circle) = (bench.folder + "/missing.db", bench.folder + "/circle.db")
        try FileManager.default.createSymbolicLink(atPath: missing, withDestinationPath: "nowhere/jobs.db")
        try FileManager.default.createSymbolicLink(atPath: circle, withDestinationPath: "circle.db")
        #expect(await code { try SQLiteFile.check(missing, SQLiteConfiguration()) } == .notFound)
        #expect(await code { try SQLiteFile.check(circle, SQLiteConfiguration()) } == .invalid)
    }

    @Test("the file system of a folder is that of the longest mount point above it, the last of equals")
    func mounts() {
        let table = """
            22 27 0:21 / / rw,relatime - ext4 /dev/vda rw
            23 22 0:22 / /data rw shared:1 - nfs4 server:/x rw
            24 22 0:22 / /data/local rw - xfs /dev/vdb rw
            25 22 0:22 / /data/local rw - tmpfs tmpfs rw
            26 22 0:22 / /with\\040blank rw - cifs //server/x rw
            """
        #expect(FileSystemCheck.kind(of: "/srv", in: table) == "ext4")
        #expect(FileSystemCheck.kind(of: "/data/jobs", in: table) == "nfs4")
        #expect(FileSystemCheck.kind(of: "/database", in: table) == "ext4")
        #expect(FileSystemCheck.kind(of: "/data/local/a", in: table) == "tmpfs")
        #expect(FileSystemCheck.kind(of: "/with blank", in: table) == "cifs")
    }

    @Test(
        "every result code of SQLite means something to a caller",
        arguments: [
            (ResultCode.SQLITE_BUSY, StoreError.Code.unavailable), (.SQLITE_BUSY_SNAPSHOT, .unavailable),
            (.SQLITE_LOCKED, .unavailable), (.SQLITE_FULL, .full), (.SQLITE_IOERR_WRITE, .unavailable),
            (.SQLITE_NOTADB, .corrupt), (.SQLITE_CORRUPT, .corrupt), (.SQLITE_READONLY, .unavailable),
            (.SQLITE_CANTOPEN, .notFound), (.SQLITE_TOOBIG, .invalid), (.SQLITE_NOMEM, .unavailable),
            (.SQLITE_CONSTRAINT_CHECK, .corrupt), (.SQLITE_SCHEMA, .incompatible), (.SQLITE_MISUSE, .closed),
            (.SQLITE_ERROR, .unavailable),
        ]
    )
    func codes(_ code: ResultCode, _ meaning: StoreError.Code) {
        #expect(StoreError(sqlite: DatabaseError(resultCode: code)).code == meaning)
        let duringCommit = StoreError(sqlite: DatabaseError(resultCode: code), duringCommit: true).code
        #expect(duringCommit == (code.primaryResultCode == .SQLITE_IOERR ? .outcomeUnknown : meaning))
    }

    @Test(
        "small texts come back as they were",
        arguments: [
            [], [""], ["a", "b"], ["\"quoted\" \\ back"], ["line\nbreak\ttab\0nul\u{1}"], ["ключ", "🙂", "e\u{301}"],
            ["},{:[]"],
        ]
    )
    func flatJSON(_ list: [String]) throws {
        #expect(FlatJSON.list(FlatJSON.text(list)) == list)
        #expect(try JSONDecoder().decode([String].self, from: Data(FlatJSON.text(list).utf8)) == list)
        let dictionary = Dictionary(list.map { ($0, $0 + "!") }, uniquingKeysWith: { first, _ in first })
        #expect(FlatJSON.dictionary(FlatJSON.text(dictionary)) == dictionary)
    }

    @Test("what is no such text is refused", arguments: ["", "{}", "[", "[1]", "[\"a\"", "nonsense"])
    func flatNonsense(_ text: String) {
        #expect(FlatJSON.list(text) == nil)
    }
}
