// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import Foundation
import TestServers
import Testing

@Suite("PostgreSQL: enqueueing with SQL", .timeLimit(.minutes(2)))
struct PostgresFunctionTests {
    private func store(_ bench: PostgresBench) async throws -> PostgresStore {
        let store = try bench.open()
        _ = try await store.counts()
        return store
    }

    private func enqueue(_ bench: PostgresBench, _ options: String, name: String = "mail") throws -> JobID {
        let id = try bench.server.psql("SELECT \(bench.schema).enqueue('\(name)', '{\"to\": \"ada\"}', '\(options)')")
        return try #require(JobID(id))
    }

    @Test("a job without options is what a client would have stored")
    func plain() async throws {
        let bench = try PostgresBench()
        let store = try await store(bench)
        let id = try enqueue(bench, "{}")
        let record = try #require(try await store.jobs([id], parts: .all).first)
        let wanted = JobRecord(
            NewJob(id: id, name: "mail", payload: Payload(bytes: Array(#"{"to": "ada"}"#.utf8))),
            at: record.createdAt
        )
        #expect(record == wanted)
        #expect(abs((id.madeAt - record.createdAt).inSeconds) < 1)
        let worker = try await bench.worker(in: store)
        #expect(try await bench.claim(worker, in: store).map(\.record.id) == [id])
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
    }

    @Test("every option arrives")
    func options() async throws {
        let bench = try PostgresBench()
        let store = try await store(bench)
        let id = try enqueue(
            bench,
            """
            {"id": "01a20098-0021-796a-9614-f61c29cb92aa", "queue": "x y", "priority": 9, "delay": 60.5, "startWithin": 120,
            "deadline": 3600, "timeout": null, "maxAttempts": 3, "tags": ["a", "b\\"c"], "headers": {"h": "v\\n", "g": "1"},
            "version": 4, "uniqueKey": "k", "uniqueFor": 30, "onConflict": "refuse"}
            """
        )
        let record = try #require(try await store.jobs([id], parts: .all).first)
        let rule = UniqueRule(key: "k", scope: .forTTL(.seconds(30)), conflict: .throwError)
        var job = NewJob(
            id: try #require(JobID("01a20098-0021-796a-9614-f61c29cb92aa")),
            name: "mail",
            payload: Payload(bytes: Array(#"{"to": "ada"}"#.utf8), version: 4),
            queue: "x y",
            priority: .urgent,
            start: .after(.milliseconds(60_500)),
            retry: .attempts(3),
            unique: rule,
            tags: ["a", "b\"c"],
            headers: ["h": "v\n", "g": "1"]
        )
        (job.startWithin, job.deadline, job.timeout) = (.seconds(120), .hours(1), nil)
        #expect(record == JobRecord(job, at: record.createdAt))
        #expect(try await store.list(JobFilter(tags: ["b\"c"]), page: JobPageRequest()).jobs.map(\.id) == [id])
        #expect(try enqueue(bench, #"{"id": "01a20098-0021-796a-9614-f61c29cb92aa"}"#) == id)
        try await store.close()
    }

    @Test("a taken key answers with the job that has it, which becomes as urgent as the newer one")
    func uniqueness() async throws {
        let bench = try PostgresBench()
        let store = try await store(bench)
        let first = try enqueue(bench, #"{"uniqueKey": "k", "delay": 3600}"#)
        #expect(try enqueue(bench, #"{"uniqueKey": "k", "delay": 7200, "priority": 8}"#) == first)
        let record = try #require(try await store.jobs([first], parts: []).first)
        #expect(record.state == .scheduled)
        #expect(record.priority == .init(8))
        #expect(try enqueue(bench, #"{"uniqueKey": "k"}"#) == first)
        #expect(try await bench.state(of: first, in: store) == .ready)
        let joined = try await store.insert([bench.job(unique: UniqueRule(key: "k"))], offer: nil)
        #expect(joined == [.duplicate(of: first, .ready)])
        #expect(throws: TestServerError.self) { try enqueue(bench, #"{"uniqueKey": "k", "onConflict": "refuse"}"#) }
        let worker = try await bench.worker(in: store)
        let lease = try #require(try await bench.claim(worker, in: store).first?.lease)
        _ = try await store.settle([Settlement(lease: lease, outcome: .succeeded(result: nil))])
        #expect(try enqueue(bench, #"{"uniqueKey": "k"}"#) != first)
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
    }

    @Test(
        "what cannot be stored is refused with a reason",
        arguments: [
            ("{\"nope\": 1}", "mail"), ("{\"queue\": \"\"}", "mail"), ("{}", ""), ("{\"version\": 0}", "mail"),
            ("{\"timeout\": -1}", "mail"), ("{\"uniqueKey\": \"\"}", "mail"), ("{\"onConflict\": \"x\"}", "mail"),
        ]
    )
    func refusals(_ options: String, _ name: String) async throws {
        let bench = try PostgresBench()
        let store = try await store(bench)
        let error = #expect(throws: TestServerError.self) { try enqueue(bench, options, name: name) }
        #expect(error?.description.contains("errand: ") == true, "\(String(describing: error))")
        #expect(try await store.counts().rows.isEmpty)
        try await store.close()
    }

    @Test("psycopg: of the transactions of a Python program exactly the committed half is stored")
    func python() async throws {
        let bench = try PostgresBench()
        let store = try await store(bench)
        let script = """
            import sys, random, psycopg
            random.seed(7)
            kept = []
            with psycopg.connect(sys.argv[1]) as connection:
                for n in range(200):
                    row = connection.execute(
                        "SELECT \(bench.schema).enqueue('mail', jsonb_build_object('n', %s::int))", (n,)).fetchone()
                    if random.random() < 0.5:
                        connection.rollback()
                    else:
                        connection.commit()
                        kept.append(str(row[0]))
            print("\\n".join(kept))
            """
        let file = "\(bench.server.folder)/\(bench.schema).py"
        try script.write(toFile: file, atomically: false, encoding: .utf8)
        let python = try Self.python()
        let kept = try ChildProcess.run(python, [file, bench.server.url()]).split(separator: "\n")
            .compactMap { JobID(String($0)) }
        #expect(kept.count > 60 && kept.count < 140)
        let worker = try await bench.worker(in: store)
        let claimed = try await bench.claim(worker, in: store, limit: 1000).map(\.record.id)
        #expect(Set(claimed) == Set(kept))
        #expect(claimed.count == kept.count)
        try await store.close()
    }

    /// A Python that has psycopg.
    private static func python() throws -> String {
        var tried: [String] = []
        for folder in ["/usr/bin"]
            + (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        {
            let python = "\(folder)/python3"
            guard !tried.contains(python), FileManager.default.isExecutableFile(atPath: python) else { continue }
            tried.append(python)
            if (try? ChildProcess.run(python, ["-c", "import psycopg"])) != nil { return python }
        }
        throw TestServerError("no Python with psycopg is installed; install it: apt-get install python3-psycopg")
    }
}
