// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Errand
import ErrandSQLite

/// Queues jobs and says how much larger the process has become.
struct MemoryChild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "memory-child", shouldDisplay: false)

    @Argument var jobs: Int
    @Option var file: String?

    func run() async throws {
        let store: any JobStore = try file.map { try SQLiteStore(path: $0) } ?? MemoryStore()
        let client = JobClient(store: store)
        // What the first jobs allocate stays for all others.
        try await client.fill(1000)
        let before = Usage.residentBytes
        try await client.fill(jobs)
        Parent.tell("queued \(max(Usage.residentBytes - before, 0))")
        try await store.close()
    }
}
