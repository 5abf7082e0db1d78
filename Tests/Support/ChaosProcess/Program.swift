// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Logging
import Synchronization

/// One process of a chaos run: a worker, or a client that enqueues as many jobs as a line of its standard input says.
/// Writes down everything in its file of facts. Ends when its input does. Its one argument is ``ChaosSettings`` as JSON.
@main
enum Program {
    static func main() async throws {
        let settings = try ChaosSettings(argument: CommandLine.arguments.last ?? "")
        let recorder = try FactRecorder(path: settings.facts)
        let store = RecordingStore(try await ChaosStore.open(settings.url), recorder)
        await withTaskGroup(of: Void.self) { group in
            if settings.isWorker { group.addTask { await work(store, recorder, settings) } }
            say("ready")
            let client = JobClient(store: store, configuration: settings.client)
            for await line in input() {
                let words = line.split(separator: " ")
                guard words.count == 3, words[0] == "enqueue", let start = Int(words[1]), let count = Int(words[2])
                else { continue }
                group.addTask { await enqueue(start, count, client) }
            }
            group.cancelAll()
        }
        try await store.close()
    }

    private static func work(_ store: RecordingStore, _ recorder: FactRecorder, _ settings: ChaosSettings) async {
        var handlers = JobHandlers()
        handlers.add(Chore.self) { chore, context in
            recorder.started(context.id, epoch: context.epoch)
            if chore.pause > 0 { try await SystemClock.shared.sleep(for: .milliseconds(chore.pause)) }
            if context.record.failures < chore.failures { throw ChoreError() }
        }
        let worker = Worker(
            store: store,
            handlers: handlers,
            configuration: settings.worker,
            logger: Logger(label: "chaos") { _ in SwiftLogNoOpLogHandler() }
        )
        try? await worker.run()
    }

    /// Enqueues in small batches. One that fails for good is not tried again: its jobs may be stored or not.
    private static func enqueue(_ start: Int, _ count: Int, _ client: JobClient) async {
        for first in stride(from: start, to: start + count, by: 50) {
            let chores = (first..<min(first + 50, start + count)).map { Chore(number: $0) }
            _ = try? await client.enqueue(contentsOf: chores)
        }
        say("enqueued \(start)")
    }

    private static func input() -> AsyncStream<String> {
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        OSThread.start(named: "chaos-input") {
            while let line = readLine() { continuation.yield(line) }
            continuation.finish()
        }
        return lines
    }

    private static let output = Mutex(FileHandle.standardOutput)

    private static func say(_ line: String) {
        output.withLock { try? $0.write(contentsOf: Data("\(line)\n".utf8)) }
    }
}
