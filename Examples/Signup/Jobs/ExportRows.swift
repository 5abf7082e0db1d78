// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation

/// Writes a file row by row: long, says how far it is, and can be cancelled at every row.
struct ExportRows: Job {
    /// What is kept as the job's result.
    struct Output: Codable, Sendable, Hashable {
        var file: String
        var rows: Int
    }

    static let name: JobName = "export-rows"
    static let timeout: Duration? = .hours(1)

    let rows: Int
    let pauseMilliseconds: Int

    static func register(in handlers: inout JobHandlers, folder: URL, clock: any ErrandClock) {
        handlers.add(ExportRows.self) { job, context in
            var text = "row,square\n"
            for row in 1...job.rows {
                // Throws when the job is cancelled: nothing has been written then, so nothing is left behind.
                try await clock.sleep(for: .milliseconds(job.pauseMilliseconds))
                text += "\(row),\(row * row)\n"
                context.progress(Double(row) / Double(job.rows), "\(row) of \(job.rows) rows")
            }
            let file = folder.appending(path: "export-\(context.id).csv")
            try Data(text.utf8).write(to: file, options: .atomic)
            return Output(file: file.lastPathComponent, rows: job.rows)
        }
    }
}
