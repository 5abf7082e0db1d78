// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation

extension ScheduleRecord {
    private static let encoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf",
            negativeInfinity: "-inf",
            nan: "nan"
        )
        return encoder
    }()

    private static let decoder = {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf",
            negativeInfinity: "-inf",
            nan: "nan"
        )
        return decoder
    }()

    /// The record as a row keeps it.
    /// - Throws: `invalid` when it has no form as JSON.
    func body() throws(StoreError) -> String {
        do {
            return String(decoding: try Self.encoder.encode(self), as: UTF8.self)
        } catch {
            throw StoreError(.invalid, "the schedule '\(id)' cannot be written as JSON; change its job", cause: error)
        }
    }

    /// The record in a row.
    /// - Throws: `corrupt` for what this build does not write.
    init(_ id: ScheduleID, body: String) throws(StoreError) {
        do {
            self = try Self.decoder.decode(Self.self, from: Data(body.utf8))
        } catch {
            throw StoreError(
                .corrupt,
                "the stored schedule '\(id)' is not what this build writes; start the build that wrote it, or restore a "
                    + "backup",
                cause: error
            )
        }
        guard self.id == id else {
            throw StoreError(.corrupt, "the stored schedule '\(id)' says that it is '\(self.id)'; restore a backup")
        }
    }
}

extension SQLiteSession {
    /// Reads the schedules that a statement finds, as many as are wanted; those that cannot be read are noted and left
    /// out.
    /// - Parameter find: Selects the id and the body.
    func readSchedules(_ find: SQLiteCommand, limit: Int) throws -> [ScheduleRecord] {
        defer { find.reset() }
        var records: [ScheduleRecord] = []
        while records.count < limit, try find.step() {
            let id = ScheduleID(find.text(0))
            do {
                records.append(try ScheduleRecord(id, body: find.text(1)))
            } catch {
                options.unreadable.note("schedule \(id)", error.message)
            }
        }
        return records
    }

    /// The version of a schedule; 0 when there is none.
    func version(of id: ScheduleID) throws -> Int64 {
        let find = try command(.scheduleVersion)
        find.bind(1, id.rawValue)
        return try find.first { $0.int64(0) } ?? 0
    }

    /// Stores a schedule in place of the one that was there, or deletes that one.
    func put(_ record: ScheduleRecord?, body: String?, as id: ScheduleID) throws {
        guard let record, let body else {
            let delete = try command(.deleteSchedule)
            delete.bind(1, id.rawValue)
            try delete.run()
            return
        }
        let put = try command(.putSchedule)
        put.bind(1, id.rawValue)
        put.bind(2, record.version)
        put.bind(3, record.state.rawValue)
        put.bind(4, record.dueAt?.microseconds)
        put.bind(5, record.cursor.microseconds)
        put.bind(6, record.endedAt?.microseconds)
        put.bind(7, body)
        try put.run()
    }
}
