// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Lets a batch of jobs go; see ``/ErrandCore/JobStore/export(_:)``.
    ///
    /// At most 500 jobs a call, whatever its limit. Goes on when the server's memory is full.
    public func export(_ request: ExportRequest) async throws -> ExportBatch {
        try await perform { () throws(StoreError) in
            while true {
                if let open = try await openExport() {
                    guard open.destination == request.destination else {
                        throw StoreError(
                            .conflict,
                            "a batch of jobs is on its way from this store to '\(open.destination)'; let that move go on, "
                                + "or cancel it, first"
                        )
                    }
                    return open
                }
                let place = RedisExportPlace(request.part, after: request.after)
                var hand = RedisExportHand(request)
                let next =
                    request.part == .records
                    ? try await gatherRecords(from: place, into: &hand)
                    : try await gatherJobs(from: place, into: &hand)
                var batch = ExportBatch(id: request.id, destination: request.destination, next: next?.text)
                if hand.groups.isEmpty { return batch }
                guard let taken = try await depart(hand.groups, in: batch) else { continue }
                for group in taken { batch.add(group.contents) }
                return batch
            }
        }
    }

    /// Ends the open batch; see ``/ErrandCore/JobStore/endExport(_:as:)``.
    public func endExport(_ id: ExportID, as end: ExportEnd) async throws {
        try await perform { () throws(StoreError) in
            let bytes = ByteBuffer(bytes: id.bytes)
            let forget = ["X", "X:pieces"].map { RedisWrite(ByteBuffer(string: "UNLINK"), ByteBuffer(string: $0)) }
            guard end == .returned else {
                _ = try await write(forget, conditions: [("X", ByteBuffer(string: "id"), bytes)])
                return
            }
            guard let batch = try await openExport(), batch.id == id else { return }
            _ = try await decide(batch.jobs.map(\.record.id), keys: batch.uniqueKeys) { table throws(Missing) in
                guard try table.field("X", ByteBuffer(string: "id")) == bytes else { return }
                table.takesBack = true
                table.extras += forget
                _ = try table.take(in: batch)
            }
        }
    }

    /// The batch that is on its way.
    private func openExport() async throws(StoreError) -> ExportBatch? {
        let header = ["HMGET", "X", "id", "destination", "next"].map { ByteBuffer(string: $0) }
        while true {
            let fields = try await fetch([header]).answers.first?.elements ?? []
            guard fields.count == 3 else { throw StoreError.oddAnswer }
            guard let bytes = fields[0].buffer else { return nil }
            guard let id = ExportID(bytes: bytes.readableBytesView) else { throw StoreError.unreadable }
            let next = fields[2].text.flatMap { $0.isEmpty ? nil : $0 }
            var batch = ExportBatch(id: id, destination: fields[1].text ?? "", next: next)
            var pieces: [ByteBuffer] = []
            var (isSame, isWhole) = (true, false)
            while isSame, !isWhole {
                let range = ["LRANGE", "X:pieces", String(pieces.count), String(pieces.count + 99)]
                // Another may have ended it, and a new one may be open, since the look before.
                let look = [["HGET", "X", "id"], range].map { $0.map { ByteBuffer(string: $0) } }
                let answers = Array(try await fetch(look).answers)
                isSame = answers[0].buffer == bytes
                let some = (answers[1].elements ?? []).compactMap(\.buffer)
                pieces += some
                isWhole = some.count < 100
            }
            guard isSame else { continue }
            try batch.add(pieces)
            return batch
        }
    }

    /// Takes out, and keeps as the open batch, the groups that are still as they were read.
    /// - Returns: Those; `nil` when another batch was opened meanwhile, and nothing was written.
    func depart(
        _ groups: [RedisExportGroup],
        in batch: ExportBatch
    ) async throws(StoreError) -> [RedisExportGroup]? {
        let bytes = groups.flatMap(\.pieces).reduce(0) { $0 + $1.readableBytes }
        let answer = try await run(RedisScripts.export, capacity: bytes + 1024 * groups.count) { command in
            command.append(batch.id.bytes)
            command.append(batch.destination)
            command.append(batch.next ?? "")
            command.append(groups.count)
            for group in groups { group.write(to: &command) }
        }
        guard answer.count == 2, let isOpened = answer[0].integer, let letters = answer[1].buffer else {
            throw StoreError.oddAnswer
        }
        guard isOpened == 1 else { return nil }
        guard letters.readableBytes == groups.count else { throw StoreError.oddAnswer }
        return zip(groups, letters.readableBytesView).compactMap { $1 == UInt8(ascii: "t") ? $0 : nil }
    }
}

extension RedisExportGroup {
    fileprivate func write(to command: inout RedisCommand) {
        for count in [pieces.count, conditions.count, contents.jobs.count, writes.count] { command.append(count) }
        for piece in pieces { command.append(piece) }
        for condition in conditions {
            command.append(condition.hash)
            command.append(condition.field)
            command.append(condition.value)
        }
        for job in contents.jobs { command.append(job.record.id.bytes) }
        for write in writes {
            command.append(write.words.count)
            for word in write.words { command.append(word) }
        }
    }
}
