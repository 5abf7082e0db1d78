// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import Foundation
import Synchronization

/// The second process of a test: obeys the lines of its standard input and answers in lines on its standard output,
/// until the input ends. Its one argument is ``TwinSettings`` as JSON.
@main
enum Program {
    static func main() async throws {
        let settings = try TwinSettings(argument: CommandLine.arguments.last ?? "")
        let output = LineOutput()
        let twin = try Twin(settings) { output.say($0) }
        await withTaskGroup(of: Void.self) { group in
            if settings.works { group.addTask { await twin.work() } }
            await twin.untilReady()
            output.say("ready")
            for await line in input() {
                group.addTask {
                    do {
                        try await twin.obey(line)
                    } catch {
                        output.say("failed \(line): \(error)")
                    }
                }
            }
            group.cancelAll()
        }
        try await twin.store.close()
    }

    private static func input() -> AsyncStream<String> {
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        OSThread.start(named: "twin-input") {
            while let line = readLine() { continuation.yield(line) }
            continuation.finish()
        }
        return lines
    }
}

/// Standard output, a whole line at a time and at once.
private final class LineOutput: Sendable {
    private let file = Mutex(FileHandle.standardOutput)

    func say(_ line: String) {
        file.withLock { try? $0.write(contentsOf: Data("\(line)\n".utf8)) }
    }
}
