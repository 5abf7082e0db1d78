// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Runs longer than several leases, mostly suspended.
struct Steady: Job {
    static let name: JobName = "steady"
    let milliseconds: Int
}

/// Holds its thread longer than several leases.
struct Blocking: Job {
    static let name: JobName = "blocking"
}

/// Holds its thread and does not look whether it was cancelled.
struct Stubborn: Job {
    typealias Output = String
    static let name: JobName = "stubborn"
    static let queue: QueueName = "narrow"
}

/// Waits for the one slot of the stubborn job's queue.
struct Next: Job {
    static let name: JobName = "next"
    static let queue: QueueName = "narrow"
}

/// Handles the drill's jobs.
func drillHandlers(stubborn: DrillGate, blocking: DrillGate) -> JobHandlers {
    var handlers = JobHandlers()
    handlers.add(Steady.self) { job, context in
        try await SystemClock.shared.sleep(for: .milliseconds(job.milliseconds / 2))
        context.progress(0.5, "half")
        try await SystemClock.shared.sleep(for: .milliseconds(job.milliseconds / 2))
    }
    handlers.add(Blocking.self) { _, _ in blocking.hold() }
    handlers.add(Stubborn.self) { _, _ in
        stubborn.hold()
        return "too late"
    }
    handlers.add(Next.self) { _, _ in }
    return handlers
}
