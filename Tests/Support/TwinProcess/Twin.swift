// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import Logging
import Synchronization

/// A store with a client and a worker that says in lines what it does; the same in both processes of a test.
///
/// | it says | when |
/// |---|---|
/// | `ran ID MICROSECONDS` | a ``Note`` was run, at this uptime of the machine |
/// | `started ID EPOCH TEXT` | a ``Stay`` was started and waits |
/// | `cancelled ID REASON` | a ``Stay`` was told to stop |
final class Twin: Sendable {
    let store: SQLiteStore
    let client: JobClient
    let worker: Worker
    private let works: Bool
    private let desk: Desk
    private let say: @Sendable (String) -> Void
    /// How many signals of other processes came.
    private let signals = Mutex(0)

    init(_ settings: TwinSettings, say: @escaping @Sendable (String) -> Void) throws {
        let desk = Desk()
        self.desk = desk
        self.say = say
        works = settings.works
        store = try SQLiteStore(path: settings.file, configuration: settings.store)
        client = JobClient(store: store, configuration: settings.client)
        worker = Worker(
            store: store,
            handlers: Self.handlers(desk, say),
            configuration: settings.worker,
            logger: Logger(label: "twin") { _ in SwiftLogNoOpLogHandler() }
        )
        _ = store.hub.subscribe { [weak self] signal in
            if signal == .elsewhere { self?.signals.withLock { $0 += 1 } }
        }
    }

    private static func handlers(_ desk: Desk, _ say: @escaping @Sendable (String) -> Void) -> JobHandlers {
        var handlers = JobHandlers()
        handlers.add(Note.self) { note, context in
            say("ran \(context.id) \(SystemClock.shared.uptime.wholeMicroseconds)")
            return "\(note.text)!"
        }
        handlers.add(Stay.self) { stay, context in
            say("started \(context.id) \(context.epoch) \(stay.text)")
            await desk.wait(for: context.id)
            guard !Task.isCancelled else {
                if case .cancelled(_, let reason) = context.cancellationReason {
                    say("cancelled \(context.id) \(reason)")
                }
                throw CancellationError()
            }
            return "\(stay.text)!"
        }
        return handlers
    }

    var heard: Int { signals.withLock { $0 } }

    /// Runs jobs until the task is cancelled.
    func work() async { try? await worker.run() }

    /// Waits until the worker, if there is one, takes jobs.
    func untilReady() async {
        while works, !worker.health.isReady { await Task.yield() }
    }

    /// Lets a ``Stay`` end.
    func finish(_ id: JobID) { desk.release(id) }

    /// Does what a line asks for:
    ///
    /// | line | answer |
    /// |---|---|
    /// | `finish ID` | |
    /// | `await ID` | `awaiting ID`, then `result ID TEXT` |
    /// | `unique KEY RULE` | `wants KEY`, then `unique KEY RULE` and what ``unique(_:_:)`` gives |
    /// | `heard` | `heard COUNT` |
    func obey(_ line: String) async throws {
        let words = line.split(separator: " ").map(String.init)
        switch (words.first, words.count) {
        case ("finish", 2):
            if let id = JobID(words[1]) { finish(id) }
        case ("await", 2):
            guard let id = JobID(words[1]) else { break }
            say("awaiting \(id)")
            let result = try await JobHandle<Stay>(id: id, client: client).result(timeout: .minutes(5))
            say("result \(id) \(result)")
        case ("unique", 3):
            say("wants \(words[1])")
            say("\(line) \(try await unique(words[1], words[2]))")
        case ("heard", 1): say("heard \(heard)")
        default: say("failed \(line): no such command")
        }
    }

    /// Enqueues a job with a key; `keep` answers a taken one with its job, `refuse` with an error, `again` with a
    /// run after the one under way.
    /// - Returns: `stored ID`, `duplicate ID`, `replaced ID` or `conflict`.
    func unique(_ key: String, _ rule: String) async throws -> String {
        let conflicts: [String: UniqueRule.Conflict] = [
            "keep": .returnExisting, "refuse": .throwError, "again": .runAgainAfter,
        ]
        let options = EnqueueOptions.unique(key: key, conflict: conflicts[rule] ?? .returnExisting)
        do {
            let handle = try await client.enqueue(Stay(text: key), options: options)
            return "\(handle.kind.map { "\($0)" } ?? "unknown") \(handle.id)"
        } catch let error as StoreError where error.code == .conflict {
            return "conflict"
        }
    }
}
