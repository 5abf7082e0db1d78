// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting

/// Everything that is meant to happen in one simulation, as a value: it can be printed, run again, and made smaller.
struct SimulationPlan: Sendable {
    /// Decides what the plan leaves open: what runs next, how long each call takes.
    var seed: UInt64
    var workers: [WorkerPlan]
    var jobs: [JobPlan]
    var operations: [OperationPlan]
    var faults: [FaultPlan]
    /// The longest a call or a signal is on its way, when nothing goes wrong.
    var latency: Duration
    /// The longest one step of a task takes.
    var stepTime: Duration
    /// How long finished jobs are kept.
    var retention: Duration
    /// When everything is healed.
    var length: Duration

    /// The number of the process that has a client and no worker; it never fails.
    static let front = 99
}

/// A process with a worker and a client.
struct WorkerPlan: Sendable {
    /// The number of its process, from 1.
    var number: Int
    var slots: Int
    var readAhead: Int
    /// How far its clock is off.
    var skew: Duration
    /// It runs code that does not know every job name yet.
    var isOld: Bool
}

/// A job to enqueue.
struct JobPlan: Sendable {
    var number: Int
    var at: Duration
    /// Whose client enqueues it.
    var process: Int
    /// Its name is one that old code does not know.
    var isNew = false
    var start: Duration = .zero
    var priority = 5
    var queue: QueueName = .default
    var unique: UniqueRule?
    var startWithin: Duration?
    var deadline: Duration?
    var timeout: Duration = .minutes(15)
    var attempts = 3
    var backoff: Duration = .seconds(1)
    /// What its handler does at its first start, its second and so on; the last one goes for all others.
    var acts: [Act]

    enum Act: Sendable {
        case succeed(after: Duration)
        case fail(after: Duration)
        case failForGood
        case snooze(Duration)
        case retry(after: Duration)
        case cancelItself
        /// Says how far it is, keeps a checkpoint, then succeeds.
        case talk(Duration)
        /// Waits until it is cancelled, at most this long.
        case hang(Duration)
        /// Goes on for this long whatever it is told.
        case ignoreCancellation(Duration)
        /// Ends its process.
        case killProcess(after: Duration)
        /// Enqueues the job of this number, then succeeds.
        case enqueue(Int)
    }

    /// The same for every run of the plan, and readable in a trace.
    var id: JobID { Self.id(number) }

    static func id(_ number: Int) -> JobID {
        JobID(high: 1_767_225_600_000 << 16 | 0x7000 | UInt64(number), low: 0x8000_0000_0000_0000 | UInt64(number))
    }
}

/// What an operator does.
struct OperationPlan: Sendable {
    enum Action: Sendable {
        case cancel(Int)
        case retry(Int)
        case hold(Int, lasting: Duration?)
        case release(Int)
        case delete(Int)
        /// Moves it to the other queue, with this priority and wait.
        case edit(Int, priority: Int, wait: Duration)
        /// Waits for its end.
        case await(Int)
        case pause(Pause.Scope, lasting: Duration?)
        case resume(Pause.Scope)
    }

    var at: Duration
    var process: Int
    var action: Action
}

/// What goes wrong.
struct FaultPlan: Sendable {
    enum Kind: Sendable {
        /// The next call of this process.
        case call(Int, CallFault)
        /// Nobody reaches the store.
        case outage(Duration)
        /// This process does not reach the store.
        case cut(Int, Duration)
        case dropSignals(Duration)
        case crash(Int, restartAfter: Duration)
        case pause(Int, Duration)
        /// The time of day of the store is corrected.
        case clockStep(Duration)
        /// The worker is stopped in good order and started with code that knows every name.
        case deploy(Int)
    }

    var at: Duration
    var kind: Kind
}

extension SimulationPlan: CustomStringConvertible {
    /// One line for each part, in the order of time.
    var description: String {
        var lines: [(Duration, String)] = []
        lines += jobs.map { ($0.at, "\($0.process) enqueues \($0)") }
        lines += operations.map { ($0.at, "\($0.process) operates \($0.action)") }
        lines += faults.map { ($0.at, "fault \($0.kind)") }
        lines.sort { $0.0 < $1.0 }
        let head = "latency \(latency), step \(stepTime), kept \(retention), healed at \(length)"
        let team = workers.map { "worker \($0.number): \($0.slots) slots\($0.isOld ? ", old" : ""), skew \($0.skew)" }
        return ([head] + team + lines.map { "\($0.0): \($0.1)" }).map(\.plain).joined(separator: "\n")
    }
}

extension String {
    /// Without the names of modules and types before those of cases.
    var plain: String {
        var text = self
        for prefix in ["SimulationTests.JobPlan.Act.", "ErrandTesting.CallFault.", "ErrandCore."] {
            text = text.split(separator: prefix, omittingEmptySubsequences: false).joined()
        }
        return text.split(separator: " seconds", omittingEmptySubsequences: false).joined(separator: " s")
    }
}

extension JobPlan: CustomStringConvertible {
    var description: String {
        var words = ["#\(number)"]
        if isNew { words.append("of a new name") }
        if start > .zero { words.append("in \(start)") }
        if let unique { words.append("unique \(unique.key) \(unique.scope) \(unique.conflict)") }
        if let startWithin { words.append("start within \(startWithin)") }
        if let deadline { words.append("deadline \(deadline)") }
        if timeout < .minutes(15) { words.append("timeout \(timeout)") }
        return (words + ["\(attempts) attempts: \(acts)"]).joined(separator: ", ")
    }
}
