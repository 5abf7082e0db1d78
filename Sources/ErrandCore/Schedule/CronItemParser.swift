// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Reads one item of a list: what stands between two commas.
struct CronItemParser {
    let field: CronField
    /// What is left to read; its indices are those of the whole text.
    var rest: ArraySlice<UInt8>
    let whole: CronParser
    /// Whether the item is the whole field, as `?` must be.
    let isWholeField: Bool

    mutating func read() throws(CronError) -> CronItem {
        if take("*") {
            let step = try readStep() ?? 1
            return try finished(.span(field.range.lowerBound, field.range.upperBound, step: step))
        }
        if rest.first == UInt8(ascii: "?") { return try readAnyDay() }
        if let first = rest.first, first & 0xDF == UInt8(ascii: "H"), !startsName { return try readHash() }
        if field == .dayOfMonth, take("L") { return try readLast() }
        if field == .dayOfWeek, rest.count == 1, rest.first.map({ $0 & 0xDF }) == UInt8(ascii: "L") {
            throw failed(.unexpected, rest, "L alone is no weekday", "write 5L or FRIL for the last Friday")
        }
        let start = rest
        let from = try readNumber()
        if field == .dayOfMonth, take("W") { return try finished(.nearestWorkday(from)) }
        if field == .dayOfWeek, take("L") { return try finished(.last(weekday: from % 7)) }
        if field == .dayOfWeek, take("#") {
            let place = rest
            let count = try readDigits(what: "after #", hint: "write 5#3 for the third Friday")
            guard (1...5).contains(count) else {
                throw failed(.outOfRange, place, "a month has no weekday number \(count)", "write 1 to 5 after #")
            }
            return try finished(.nth(count, weekday: from % 7))
        }
        if take("-") {
            let to = try readNumber()
            if field == .year, to < from {
                throw failed(.outOfRange, start, "the years go backwards", "write the earlier year first")
            }
            let step = try readStep() ?? 1
            return try finished(span(from, to, step: step))
        }
        if let step = try readStep() {
            return try finished(.span(weekday(from), field.range.upperBound, step: step))
        }
        return try finished(.span(weekday(from), weekday(from), step: 1))
    }

    /// Sunday may be written 7, and a range that reaches it goes on to 0 in step.
    private func span(_ from: Int, _ to: Int, step: Int) -> CronItem {
        guard field == .dayOfWeek else { return .span(from, to, step: step) }
        if from < 7, to == 7 { return from == 0 ? .span(0, 6, step: step) : .span(from, 0, step: step) }
        return .span(weekday(from), weekday(to), step: step)
    }

    private func weekday(_ number: Int) -> Int { field == .dayOfWeek ? number % 7 : number }

    private mutating func readAnyDay() throws(CronError) -> CronItem {
        guard field.isDay else {
            throw failed(.unexpected, rest, "? is for the two day fields", "write *")
        }
        guard isWholeField, rest.count == 1 else {
            throw failed(.unexpected, rest, "? stands alone in its field", "write * with a step")
        }
        return .span(field.range.lowerBound, field.range.upperBound, step: 1)
    }

    private mutating func readLast() throws(CronError) -> CronItem {
        if take("W") { return try finished(.lastWorkday) }
        guard take("-") else { return try finished(.lastDay(minus: 0)) }
        let place = rest
        let days = try readDigits(what: "after L-", hint: "write L-2 for two days before the last")
        guard days <= 30 else {
            throw failed(.outOfRange, place, "no month has a day \(days) before its last", "write L-30 at most")
        }
        return try finished(.lastDay(minus: days))
    }

    /// `H`, `H(0-29)`, either with a step.
    private mutating func readHash() throws(CronError) -> CronItem {
        let start = rest
        rest = rest.dropFirst()
        guard field != .year else { throw failed(.badHash, start, "H cannot choose a year", "write the years") }
        guard let schedule = whole.schedule else {
            let hint = "give CronExpression the id of the schedule"
            throw failed(.badHash, start, "H is chosen by the id of the schedule, and there is none", hint)
        }
        var range = field.hashed
        if take("(") {
            let place = rest
            let from = try readNumber()
            guard take("-") else { throw failed(.unexpected, rest, "H( needs a range", "write H(0-29)") }
            let to = try readNumber()
            guard take(")") else { throw failed(.unexpected, rest, "H( is not closed", "write H(0-29)") }
            guard from <= to, field.range.contains(from), field.range.contains(to) else {
                throw failed(.outOfRange, place, "the range of H must rise within \(bounds)", "write the smaller first")
            }
            range = from...to
        }
        let hash = ScheduleHash.value(of: schedule, field.rawValue)
        if let step = try readStep() {
            let start = range.lowerBound + Int(hash % UInt64(min(step, range.count)))
            return try finished(.span(start, range.upperBound, step: step))
        }
        let number = range.lowerBound + Int(hash % UInt64(range.count))
        return try finished(.span(number, number, step: 1))
    }

    /// The number after a `/`, when there is one.
    private mutating func readStep() throws(CronError) -> Int? {
        guard take("/") else { return nil }
        let place = rest
        let step = try readDigits(what: "after /", hint: "write a step of 1 or more", code: .badStep)
        guard step > 0 else { throw failed(.badStep, place, "a step of 0 goes nowhere", "write 1 or more") }
        return step
    }

    /// A number or name within the field.
    private mutating func readNumber() throws(CronError) -> Int {
        let start = rest
        if let first = rest.first, isLetter(first) {
            let letters = rest.prefix(while: isLetter)
            // FRIL is a name and an L.
            let name = field == .dayOfWeek && letters.count == 4 ? letters.prefix(3) : letters
            if let number = field.number(ofName: name) {
                rest = rest.dropFirst(name.count)
                return number
            }
            throw failed(.badName, letters, "\(quoted(letters)) is no \(field.rawValue)", nameHint(letters))
        }
        let number = try readDigits(what: "where a number belongs", hint: "write \(bounds)")
        guard field.written.contains(number) else {
            let digits = start.prefix(start.count - rest.count)
            let hint = number == 60 && field.range.upperBound == 59 || number == 24 && field == .hour ? "write 0" : nil
            throw failed(.outOfRange, digits, "\(field.rawValue) \(number) is outside \(bounds)", hint)
        }
        return number
    }

    private mutating func readDigits(
        what: String,
        hint: String,
        code: CronError.Code = .unexpected
    ) throws(CronError) -> Int {
        let digits = rest.prefix { $0 >= 0x30 && $0 <= 0x39 }
        if digits.isEmpty {
            let found = rest.isEmpty ? "nothing" : quoted(rest)
            throw failed(code, rest, "\(found) stands \(what) in the \(field.rawValue)", hint)
        }
        rest = rest.dropFirst(digits.count)
        // Numbers beyond any field are all alike; the sum cannot overflow.
        return digits.reduce(0) { min($0 * 10 + Int($1 - 0x30), 1_000_000) }
    }

    private func finished(_ item: CronItem) throws(CronError) -> CronItem {
        guard rest.isEmpty else {
            let reason = "\(quoted(rest)) is left over in the \(field.rawValue)"
            throw failed(.unexpected, rest, reason, "separate items with commas and fields with spaces")
        }
        return item
    }

    /// Takes one character in either case when it is next.
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let next = rest.first else { return false }
        let wanted = UInt8(ascii: character)
        guard next == wanted || isLetter(next) && next & 0xDF == wanted else { return false }
        rest = rest.dropFirst()
        return true
    }

    private var startsName: Bool { rest.dropFirst().first.map(isLetter) ?? false }

    private func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte & 0xDF) && byte < 0x80 }

    private var bounds: String { "\(field.written.lowerBound)-\(field.written.upperBound)" }

    private func quoted(_ part: ArraySlice<UInt8>) -> String {
        String(String(decoding: part, as: UTF8.self).prefix(24)).debugDescription
    }

    private func nameHint(_ letters: ArraySlice<UInt8>) -> String {
        guard !field.names.isEmpty else { return "write \(bounds)" }
        if letters.count > 3, let number = field.number(ofName: letters.prefix(3)) {
            return "write \(field.names[number - field.range.lowerBound])"
        }
        return "write \(field.names[0]) to \(field.names[field.names.count - 1]), or \(bounds)"
    }

    private func failed(
        _ code: CronError.Code,
        _ part: ArraySlice<UInt8>,
        _ reason: String,
        _ hint: String?
    ) -> CronError {
        whole.error(code, field, part, reason, hint)
    }
}
