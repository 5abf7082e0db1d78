// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand
import Foundation
import Synchronization

/// Writes facts to a file, each a line and each at once: a process that is killed loses none that it wrote.
package final class FactRecorder: Sendable {
    private let file: Mutex<FileHandle>
    private let clock: any ErrandClock

    /// Makes the file, or goes on at its end.
    package init(path: String, clock: any ErrandClock = SystemClock.shared) throws {
        if !FileManager.default.fileExists(atPath: path) {
            guard FileManager.default.createFile(atPath: path, contents: nil) else {
                throw StoreError(.unavailable, "the file '\(path)' cannot be made")
            }
        }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        file = Mutex(handle)
        self.clock = clock
    }

    /// Microseconds of uptime.
    package var now: Int64 { clock.uptime.wholeMicroseconds }

    /// Writes a fact, dated now.
    package func write(_ fact: RecordedFact) {
        var fact = fact
        fact.at = now
        guard var line = try? JSONEncoder().encode(fact) else { return }
        line.append(UInt8(ascii: "\n"))
        file.withLock { try? $0.write(contentsOf: line) }
    }

    /// Writes that a handler is about to begin.
    package func started(_ job: JobID, epoch: Int64) {
        write(RecordedFact(.started, jobs: [job], epochs: [epoch]))
    }

    /// Writes that something was made to go wrong.
    package func fault(_ word: String) {
        write(RecordedFact(.fault, words: [word]))
    }
}

extension RecordedFact {
    /// The facts of a file, in their order; a last line that its writer did not finish is left out.
    package static func read(_ path: String) throws -> [RecordedFact] {
        let decoder = JSONDecoder()
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let lines = data.split(separator: UInt8(ascii: "\n"))
        let isWhole = data.last == UInt8(ascii: "\n")
        return try (isWhole ? lines : Array(lines.dropLast())).map { try decoder.decode(RecordedFact.self, from: $0) }
    }
}
