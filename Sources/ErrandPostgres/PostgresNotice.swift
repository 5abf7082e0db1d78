// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// What one process tells the others: lines of a letter and a name or an id, behind the line of the sender.
struct PostgresNotice: Equatable {
    var work: Set<QueueName> = []
    var cancelled: [JobID] = []
    var finished: [JobID] = []
    var controls = false
    /// More than fits, or words of another build: anything may have changed.
    var isVague = false

    /// PostgreSQL takes less than 8,000 bytes.
    private static let longest = 7900
    /// So many ends at once are not told by name: whoever waits for one polls.
    private static let mostFinished = 100

    init() {}

    init(_ effects: PostgresEffects) {
        work = effects.work
        cancelled = effects.cancelled
        finished = effects.finished.count <= Self.mostFinished ? effects.finished : []
        controls = effects.controls
    }

    func text(from sender: String) -> String {
        var lines = work.sorted().map { "w \($0)" } + cancelled.map { "c \($0)" } + finished.map { "f \($0)" }
        if controls { lines.append("p") }
        let text = ([sender] + lines).joined(separator: "\n")
        return text.utf8.count <= Self.longest ? text : "\(sender)\ne"
    }

    /// - Returns: Who sent it and what it says; `nil` for the test of a connection.
    static func read(_ text: String) -> (sender: String, notice: PostgresNotice)? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        var notice = PostgresNotice()
        for line in lines.dropFirst() {
            let word = String(line.dropFirst(2))
            switch line.first {
            case "t" where lines.count == 2: return nil
            case "w": notice.work.insert(QueueName(word))
            case "c": if let id = JobID(word) { notice.cancelled.append(id) }
            case "f": if let id = JobID(word) { notice.finished.append(id) }
            case "p": notice.controls = true
            default: notice.isVague = true
            }
        }
        return (lines.first.map(String.init) ?? "", notice)
    }

    func publish(to hub: LocalHub) {
        if isVague { return hub.publish(.elsewhere) }
        if !work.isEmpty { hub.publish(.work(work)) }
        if !cancelled.isEmpty { hub.publish(.cancelled(cancelled)) }
        if controls { hub.publish(.controls) }
        if !finished.isEmpty { hub.publishFinished(finished) }
    }
}
