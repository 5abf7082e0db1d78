// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// Job types, enqueueing and handlers.

import Errand
import ErrandSQLite
import Foundation
import GRDB

// snippet.job
struct WelcomeEmail: Job {
    static let name: JobName = "welcome-email"
    let address: String
}
// snippet.end

// snippet.output
struct Thumbnail: Job {
    typealias Output = Size

    static let name: JobName = "thumbnail"
    static let queue: QueueName = "images"
    static let timeout: Duration? = .minutes(2)

    let path: String
}

struct Size: Codable, Sendable {
    let width: Int
    let height: Int
}
// snippet.end

// snippet.unique
struct SyncCustomer: Job {
    static let name: JobName = "sync-customer"
    static let unique: Uniqueness<Self>? = .by(\.customerID)

    let customerID: Int
    let note: String
}
// snippet.end

// snippet.retry
struct Invoice: Job {
    static let name: JobName = "invoice"
    static let retry: RetryPolicy = .attempts(5, backoff: .exponential(base: .seconds(10), cap: .hours(1)))
    static let deadline: Duration? = .hours(12)

    let order: Int
}
// snippet.end

// snippet.version
struct Charge: Job {
    static let name: JobName = "charge"
    static let version = 2

    let cents: Int
    let currency: String

    static func decode(_ payload: Payload) throws -> Charge {
        let json = Data(payload.bytes)
        guard payload.version == 1 else { return try JSONDecoder().decode(Charge.self, from: json) }
        struct First: Decodable { let cents: Int }
        return Charge(cents: try JSONDecoder().decode(First.self, from: json).cents, currency: "EUR")
    }
}
// snippet.end

// snippet.hint
struct TooManyRequests: RetryHint {
    let retryAfter: Duration
    var retryAdvice: RetryAdvice { .after(retryAfter) }
}
// snippet.end

struct Cursor: Codable, Sendable { var page = 0 }

struct Import: Job {
    static let name: JobName = "import"
    let pages: Int
}

func register() -> JobHandlers {
    // snippet.handlers
    var handlers = JobHandlers()
    handlers.add(WelcomeEmail.self) { email, context in
        context.logger.info("sending")
        try await send(email.address)
    }
    handlers.add(Thumbnail.self) { job, _ in
        try await shrink(job.path)  // what is returned is kept as the job's result
    }
    // snippet.end

    // snippet.steering
    handlers.add(Invoice.self) { invoice, _ in
        guard await isOpen() else { throw JobControl.snooze(for: .minutes(10)) }
        guard await exists(invoice.order) else { throw JobControl.fail(reason: "there is no such order") }
        try await printInvoice(invoice.order)
    }
    // snippet.end

    // snippet.long
    handlers.add(Import.self) { job, context in
        let source = try await context.step("download") { try await download() }
        for page in 0..<job.pages {
            if context.isShuttingDown { throw JobControl.snooze(for: .zero) }
            try await load(page, of: source)
            context.progress(Double(page + 1) / Double(job.pages), "page \(page + 1)")
        }
    }
    // snippet.end
    return handlers
}

func enqueue(_ jobs: JobClient, _ addresses: [String]) async throws {
    // snippet.enqueue
    let handle = try await jobs.enqueue(WelcomeEmail(address: "ada@example.org"))
    try await jobs.enqueue(WelcomeEmail(address: "grace@example.org"), options: .delay(.hours(1)))
    try await jobs.enqueue(
        WelcomeEmail(address: "edsger@example.org"),
        options: EnqueueOptions(priority: .high, startWithin: .within(.hours(24)), tags: ["sign-up"])
    )
    let handles = try await jobs.enqueue(contentsOf: addresses.map { WelcomeEmail(address: $0) })
    // snippet.end
    _ = (handle, handles)

    // snippet.result
    let thumbnail = try await jobs.enqueue(Thumbnail(path: "cat.png"))
    let size = try await thumbnail.result(timeout: .seconds(30))
    // snippet.end
    _ = size

    // snippet.duplicate
    let sync = try await jobs.enqueue(SyncCustomer(customerID: 7, note: "moved"))
    let wasThere = sync.wasDuplicate  // true: a job for customer 7 was waiting or running, and `sync` is that one
    // snippet.end
    _ = wasThere

    // snippet.idempotency
    try await jobs.enqueue(
        Charge(cents: 4200, currency: "EUR"),
        options: .unique(key: "order-17", scope: .forTTL(.hours(24)), conflict: .throwError)
    )
    // snippet.end
}

func transactions(_ path: String, _ handlers: inout JobHandlers) async throws {
    // snippet.transaction
    let pool = try DatabasePool(path: path)
    try await pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    let store = try SQLiteStore(sharing: pool)
    let jobs = JobClient(store: store)

    try await pool.write { db in
        try db.execute(sql: "INSERT INTO orders (id) VALUES (17)")
        try jobs.enqueue(Invoice(order: 17), in: db)
    }
    // snippet.end

    // snippet.complete
    handlers.add(Invoice.self) { invoice, context in
        try await pool.write { db in
            try db.execute(sql: "UPDATE orders SET invoiced = 1 WHERE id = ?", arguments: [invoice.order])
            try context.complete(in: db)
        }
    }
    // snippet.end
}

func send(_ address: String) async throws {}
func shrink(_ path: String) async throws -> Size { Size(width: 64, height: 64) }
func isOpen() async -> Bool { true }
func exists(_ order: Int) async -> Bool { true }
func printInvoice(_ order: Int) async throws {}
func download() async throws -> String { "file" }
func load(_ page: Int, of file: String) async throws {}
