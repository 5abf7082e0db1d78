// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// Jobs on their way from one store to another, and to a store that cannot be asked now.

import Errand
import ErrandSQLite
import GRDB
import Hummingbird
import Logging

struct WelcomeEmail: Job {
    static let name: JobName = "welcome-email"
    let address: String
}

struct Invoice: Job {
    static let name: JobName = "invoice"
    let order: Int
}

func move(_ sqlite: SQLiteStore, _ postgres: any JobStore, _ logger: Logger) async throws {
    // snippet.move
    let transfer = StoreTransfer(from: sqlite, to: postgres)
    let report = try await transfer.run { soFar in
        logger.info("moving", metadata: ["jobs": "\(soFar.jobs)"])
    }
    // snippet.end
    _ = report
}

func moveQuietly(_ sqlite: SQLiteStore, _ postgres: any JobStore) async throws {
    // snippet.move-quietly
    let transfer = StoreTransfer(from: sqlite, to: postgres)
    let report = try await transfer.run()
    // snippet.end
    _ = report
}

func join(_ pool: DatabasePool, _ redis: any JobStore) async throws {
    // snippet.outbox
    let outbox = try SQLiteOutbox(sharing: pool)
    let jobs = JobClient(store: redis)
    let relay = OutboxRelay(from: outbox, to: redis)  // a Service: run it beside the server

    try await pool.write { db in
        try db.execute(sql: "INSERT INTO orders (id) VALUES (17)")
        try jobs.enqueue(Invoice(order: 17), in: outbox.joining(db))
    }
    // snippet.end
    _ = relay
}

func joinBriefly(_ pool: DatabasePool, _ outbox: SQLiteOutbox, _ jobs: JobClient) async throws {
    // snippet.outbox-transaction
    try await pool.write { db in
        try db.execute(sql: "INSERT INTO orders (id) VALUES (17)")
        try jobs.enqueue(Invoice(order: 17), in: outbox.joining(db))
    }
    // snippet.end
}

func spool(_ redis: any JobStore, _ address: String) async throws {
    // snippet.spool
    let spool = try SQLiteOutbox(path: "/var/lib/app/spool.db")
    let jobs = JobClient(store: redis, spool: spool)
    let relay = OutboxRelay(from: spool, to: redis)

    try await jobs.enqueue(WelcomeEmail(address: address), durably: .spool)
    // snippet.end
    _ = relay
}

func serve(_ router: Router<BasicRequestContext>, _ outbox: SQLiteOutbox, _ redis: any JobStore, _ worker: Worker) {
    // snippet.relay
    let relay = OutboxRelay(from: outbox, to: redis)
    let application = Application(router: router, services: [relay, worker])
    // snippet.end
    _ = application
}
