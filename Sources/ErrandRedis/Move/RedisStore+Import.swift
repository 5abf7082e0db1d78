// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore

extension RedisStore {
    /// Takes a batch in; see ``/ErrandCore/JobStore/import(_:)``.
    ///
    /// One script, however large the batch is: the server serves nobody else for about 10 ms per 500 jobs.
    public func `import`(_ batch: ExportBatch) async throws -> ImportAnswer {
        try await perform { () throws(StoreError) in
            try await decide(batch.jobs.map(\.record.id), keys: batch.uniqueKeys) { table throws(Missing) in
                try table.import(batch)
            }
            .get()
        }
    }
}

extension ExportBatch {
    /// The keys that its jobs had, and those that outlived theirs.
    var uniqueKeys: [String] { jobs.compactMap(\.record.unique?.key) + keys.map(\.key) }
}
