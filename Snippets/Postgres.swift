// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// Jobs in PostgreSQL, and in the application's own transactions there.

import Errand
import ErrandPostgres

struct SendReceipt: Job {
    static let name: JobName = "send-receipt"
    let order: Int
}

struct Bill: Job {
    static let name: JobName = "bill"
    let order: Int64
}

func openStore() throws -> PostgresStore {
    // snippet.open
    let store = try PostgresStore(url: "postgres://app@db.internal/shop?sslmode=verify-full")
    // snippet.end
    return store
}

func ownConnection(_ jobs: JobClient) async throws {
    // snippet.connection
    let connection = try await PostgresConnection.connect("postgres://localhost/shop")
    try await connection.transaction { transaction in
        try await transaction.execute("INSERT INTO orders (name) VALUES ($1)", [.text("Ada")])
        try await jobs.enqueue(SendReceipt(order: 7), in: transaction)
    }
    // snippet.end
}

func enqueueInTransaction(_ url: String, _ jobs: JobClient) async throws {
    // snippet.transaction
    let connection = try await PostgresConnection.connect(url)
    try await connection.transaction { transaction in
        try await transaction.execute("INSERT INTO orders (id) VALUES ($1)", [.int(17)])
        try await jobs.enqueue(Bill(order: 17), in: transaction)
    }
    // snippet.end
}

func enqueueElsewhere(_ url: String, _ connection: PostgresConnection, _ redis: any JobStore) async throws {
    // snippet.outbox
    let outbox = try PostgresOutbox(url: url)
    let jobs = JobClient(store: redis)
    let relay = OutboxRelay(from: outbox, to: redis)  // a Service: run it beside the server

    try await connection.transaction { transaction in
        try await transaction.execute("INSERT INTO orders (id) VALUES ($1)", [.int(17)])
        try await jobs.enqueue(Bill(order: 17), in: outbox.joining(transaction))
    }
    // snippet.end
    _ = relay
}

func joinBriefly(_ connection: PostgresConnection, _ outbox: PostgresOutbox, _ jobs: JobClient) async throws {
    // snippet.joining
    try await connection.transaction { transaction in
        try await transaction.execute("INSERT INTO orders (id) VALUES ($1)", [.int(17)])
        try await jobs.enqueue(Bill(order: 17), in: outbox.joining(transaction))
    }
    // snippet.end
}

func completeInTransaction(_ handlers: inout JobHandlers, _ connection: PostgresConnection) {
    // snippet.complete
    handlers.add(Bill.self) { bill, context in
        try await connection.transaction { transaction in
            try await transaction.execute("UPDATE orders SET billed = true WHERE id = $1", [.int(bill.order)])
            try await context.complete(in: transaction)
        }
    }
    // snippet.end
}

func behindPgBouncer() throws -> PostgresStore {
    // snippet.pgbouncer
    var configuration = PostgresConfiguration()
    configuration.listenAddress = "postgres://app@db.internal:5432/shop"
    let store = try PostgresStore(url: "postgres://app@pgbouncer.internal:6432/shop", configuration: configuration)
    // snippet.end
    return store
}
