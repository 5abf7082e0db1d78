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

extension PostgresSession {
    /// The schedules in an answer of ids and bodies, from two columns on; those that cannot be read are noted and left
    /// out.
    func readSchedules(_ result: PostgresResult, from column: Int = 0) -> [ScheduleRecord] {
        var records: [ScheduleRecord] = []
        for row in 0..<result.count where !result.isNull(row, column) {
            let id = ScheduleID(result.text(row, column))
            do {
                records.append(try ScheduleRecord(id, body: result.text(row, column + 1)))
            } catch {
                shared.unreadable.note("schedule \(id)", error.message)
            }
        }
        return records
    }
}

/// The arrays that the statements for storing schedules take.
extension [ScheduleRow] {
    var values: [PostgresValue] {
        [
            .texts(map(\.record.id.rawValue)), .ints(map(\.record.version)), .texts(map(\.record.state.rawValue)),
            .ints(map(\.record.dueAt?.microseconds)), .ints(map(\.record.cursor.microseconds)),
            .ints(map(\.record.endedAt?.microseconds)), .texts(map(\.body)),
        ]
    }
}
