// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Reads the text of a cron expression, byte by byte: no input makes it trap, and it never looks back.
struct CronParser {
    let text: String
    let schedule: String?
    private let bytes: [UInt8]

    /// What was read.
    struct Reading {
        var fields: [CronField: CronItems]
        var zone: String?
    }

    init(_ text: String, schedule: String?) {
        self.text = text
        self.schedule = schedule
        bytes = Array(text.utf8)
    }

    func read() throws(CronError) -> Reading {
        guard bytes.count <= CronExpression.longest else {
            throw CronError(
                .tooLong,
                token: text,
                column: CronExpression.longest + 1,
                reason: "\(bytes.count) bytes are more than \(CronExpression.longest)",
                hint: "use ranges and steps, or several schedules",
                expression: text
            )
        }
        var words = bytes.split(whereSeparator: { [0x20, 0x09, 0x0A, 0x0D].contains($0) })
        var zone: String?
        let prefix = "CRON_TZ=".utf8
        if let first = words.first, first.starts(with: prefix) {
            zone = String(decoding: first.dropFirst(prefix.count), as: UTF8.self)
            if zone?.isEmpty ?? true {
                throw error(.badZone, nil, first, "CRON_TZ= names no zone", "write CRON_TZ=Europe/Berlin")
            }
            words.removeFirst()
        }
        if let first = words.first, first.first == UInt8(ascii: "@") {
            let (replaced, starred) = try macro(first, alone: words.count == 1)
            return Reading(
                fields: zip(CronField.allCases, replaced)
                    .reduce(into: [:]) { fields, pair in
                        let items = CronItems(items: [pair.1], isStarred: starred.contains(pair.0))
                        fields[pair.0] = items
                    },
                zone: zone
            )
        }
        return Reading(fields: try fields(words), zone: zone)
    }

    private func fields(_ words: [ArraySlice<UInt8>]) throws(CronError) -> [CronField: CronItems] {
        let order: [CronField]
        switch words.count {
        case 5: order = Array(CronField.allCases[1...5])
        case 6: order = Array(CronField.allCases[0...5])
        case 7: order = CronField.allCases
        default:
            let extra = words.count > 7 ? words[7] : bytes[bytes.endIndex...]
            let found = words.isEmpty ? "nothing is written" : "\(words.count) fields are written"
            let hint = "write 5 (minute hour day-of-month month day-of-week), 6 (a second first) or 7 (and a year last)"
            throw error(.fieldCount, nil, extra, found, hint)
        }
        var fields: [CronField: CronItems] = [
            .second: CronItems(items: [.span(0, 0, step: 1)], isStarred: false),
            .year: CronItems(items: [.span(1970, 2199, step: 1)], isStarred: true),
        ]
        for (field, word) in zip(order, words) {
            var (items, known): ([CronItem], Set<CronItem>) = ([], [])
            let starred = word.first == UInt8(ascii: "*") || word.elementsEqual("?".utf8)
            for part in word.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
                if part.isEmpty {
                    throw error(.emptyItem, field, part, "the \(field.rawValue) has an empty item", "remove the comma")
                }
                var item = CronItemParser(field: field, rest: part, whole: self, isWholeField: part.count == word.count)
                let next = try item.read()
                if known.insert(next).inserted { items.append(next) }
            }
            fields[field] = CronItems(items: items, isStarred: starred)
        }
        return fields
    }

    /// The fields, second first, that a macro stands for, and which of them are a `*`.
    private func macro(
        _ word: ArraySlice<UInt8>,
        alone: Bool
    ) throws(CronError) -> (items: [CronItem], starred: Set<CronField>) {
        let all: (CronField) -> CronItem = { .span($0.range.lowerBound, $0.range.upperBound, step: 1) }
        let zero = CronItem.span(0, 0, step: 1)
        let one = CronItem.span(1, 1, step: 1)
        let name = String(decoding: word, as: UTF8.self).lowercased()
        var starred: Set<CronField> = [.year]
        if !alone {
            throw error(.badMacro, nil, word, "a macro stands alone", "remove what follows \(name.prefix(24))")
        }
        switch name {
        case "@yearly", "@annually": starred.formUnion([.dayOfWeek])
        case "@monthly": starred.formUnion([.month, .dayOfWeek])
        case "@weekly": starred.formUnion([.dayOfMonth, .month])
        case "@daily", "@midnight": starred.formUnion([.dayOfMonth, .month, .dayOfWeek])
        case "@hourly": starred.formUnion([.hour, .dayOfMonth, .month, .dayOfWeek])
        case "@reboot":
            throw error(.badMacro, nil, word, "@reboot names no time", "run the work in a start hook of the service")
        case "@every":
            throw error(.badMacro, nil, word, "@every is an interval", "use Trigger.every, or Trigger.cron with it")
        default:
            let known = "@yearly @monthly @weekly @daily @hourly"
            throw error(.badMacro, nil, word, "no such macro", "write one of \(known), or five fields")
        }
        let items = CronField.allCases.map { field in
            if starred.contains(field) { return all(field) }
            return field == .dayOfMonth || field == .month ? one : zero
        }
        return (items, starred)
    }

    /// An error at this part of the text.
    func error(
        _ code: CronError.Code,
        _ field: CronField?,
        _ part: ArraySlice<UInt8>,
        _ reason: String,
        _ hint: String? = nil
    ) -> CronError {
        let before = bytes[..<part.startIndex].reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
        return CronError(
            code,
            field: field,
            token: String(decoding: part, as: UTF8.self),
            column: before + 1,
            reason: reason,
            hint: hint,
            expression: text
        )
    }
}
