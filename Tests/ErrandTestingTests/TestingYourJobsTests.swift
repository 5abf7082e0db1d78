// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

// What the page "Testing your jobs" shows, run.

struct WelcomeEmail: Job {
    static let name: JobName = "welcome-email"
    let address: String
}

struct Unreachable: Error {}

// snippet.harness
@Test("a registration sends the welcome mail")
func welcome() async throws {
    let outbox = Mutex<[String]>([])
    let harness = ErrandHarness { handlers, _ in
        handlers.add(WelcomeEmail.self) { email, _ in
            outbox.withLock { $0.append(email.address) }
        }
    }
    try await harness.client.enqueue(WelcomeEmail(address: "ada@example.org"))
    try await expectEnqueued(WelcomeEmail.self, in: harness.store) { $0.address == "ada@example.org" }

    try await harness.runDue()
    #expect(outbox.withLock { $0 } == ["ada@example.org"])
}
// snippet.end

// snippet.time
@Test("a mail that failed is sent again after two seconds or so")
func retried() async throws {
    let attempts = Mutex(0)
    let harness = ErrandHarness { handlers, _ in
        handlers.add(WelcomeEmail.self) { _, context in
            attempts.withLock { $0 += 1 }
            if context.attempt == 1 { throw Unreachable() }
        }
    }
    let handle = try await harness.client.enqueue(WelcomeEmail(address: "ada@example.org"))
    try await harness.runDue()
    #expect(try await handle.record().state == .retrying)

    harness.clock.advance(by: .seconds(3))
    try await harness.runDue()
    #expect(try await handle.record().state == .succeeded)
    #expect(attempts.withLock { $0 } == 2)
}
// snippet.end

@Test("a test that is cancelled while a job never ends stops waiting for it", .timeLimit(.minutes(1)))
func cancelledWait() async throws {
    let (started, never) = (Gate(), Gate())
    let harness = ErrandHarness { handlers, _ in
        handlers.add(WelcomeEmail.self) { _, _ in
            started.open()
            await never.wait()
        }
    }
    try await harness.client.enqueue(WelcomeEmail(address: "ada@example.org"))
    let run = Task { try await harness.runDue() }
    await started.wait()
    run.cancel()
    await #expect(throws: CancellationError.self) { try await run.value }
}
