// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Foundation

extension PostgresStore {
    public func export(_ request: ExportRequest) async throws -> ExportBatch {
        try await write { session in try session.export(request) }
    }

    public func endExport(_ id: ExportID, as end: ExportEnd) async throws {
        try await write { session in try session.endExport(id, as: end) }
    }
}

extension PostgresSession {
    func export(_ request: ExportRequest) throws -> ExportBatch {
        if let open = try openExport() {
            guard open.destination == request.destination else {
                throw StoreError(
                    .conflict,
                    "a batch of jobs is on its way from this store to '\(open.destination)'; let that move go on, or "
                        + "cancel it, first"
                )
            }
            return open
        }
        var batch = ExportBatch(id: request.id, destination: request.destination)
        switch request.part {
        case .pending: try exportJobs(into: &batch, request) { $0.isPending }
        case .finished: try exportJobs(into: &batch, request) { $0.isFinal }
        case .records: try exportRecords(into: &batch, limit: request.limit)
        }
        if !batch.isEmpty {
            try query(
                .putExport,
                [
                    .uuid(batch.id.stored), .text(batch.destination.storable), .int(now.microseconds),
                    .bytes(Array(try JSONEncoder().encode(batch))),
                ]
            )
        }
        return batch
    }

    /// The batch that is on its way; who asks for it has it alone until the end of the transaction.
    private func openExport() throws -> ExportBatch? {
        try query(.lockMoves)
        let found = try query(.openExport)
        guard found.count == 1 else { return nil }
        do {
            return try JSONDecoder().decode(ExportBatch.self, from: Data(found.bytes(0, 1)))
        } catch {
            throw StoreError(
                .corrupt,
                "the batch of jobs on its way to another store cannot be read; restore a backup",
                cause: error
            )
        }
    }

    /// Whether a batch is this store's own.
    func isOpen(_ id: ExportID) throws -> Bool {
        let found = try query(.openExport)
        return found.count == 1 && found.id(0, 0) == id.stored
    }

    func endExport(_ id: ExportID, as end: ExportEnd) throws {
        guard let batch = try openExport(), batch.id == id else { return }
        try query(.deleteExport, [.uuid(id.stored)])
        guard end == .returned else { return }
        var answer = ImportAnswer()
        try take(in: batch, &answer)
    }
}

extension ExportID {
    /// As a value of a statement.
    var stored: JobID? { JobID(bytes: bytes) }
}
