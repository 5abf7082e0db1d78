// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a ``FaultProxy`` does with each piece of traffic: decided here, carried out there.
struct FaultPlan: Sendable {
    /// Where one connection is in its conversation.
    struct Talk: Sendable {
        /// Whether the newest bytes came from the client: the next ones of the server begin an answer.
        var isAsked = false
        /// Whether the server's bytes are the newest: the next ones of the client begin a request.
        var isAnswered = true
        /// The newest request, as far as it came, up to ``longestRequest``.
        var request: [UInt8] = []

        /// How much of a request is kept to look for words in it.
        static let longestRequest = 64 << 10
    }

    /// What to do with some bytes.
    enum Action: Sendable, Equatable {
        case pass(after: Duration)
        case swallow
        /// Pass them, then end the connection on both sides.
        case passAndCut
        /// Drop them and end the connection on both sides.
        case cut
    }

    struct Trigger: Sendable {
        let cut: FaultProxy.Cut
        let words: [UInt8]
        var left: Int
    }

    var mode = FaultProxy.Mode.pass
    var triggers: [Trigger] = []
    /// What the server says, and as many other bytes that the client gets for it.
    var rewrites: [(said: [UInt8], heard: [UInt8])] = []
    var counts = FaultProxy.Counts()

    mutating func connected() { counts.connections += 1 }

    /// The client sent bytes.
    mutating func asked(_ bytes: [UInt8], _ talk: inout Talk) -> Action {
        let begins = talk.isAnswered
        if begins { (talk.request, talk.isAnswered) = ([], false) }
        talk.isAsked = true
        talk.request += bytes.prefix(max(Talk.longestRequest - talk.request.count, 0))
        if begins { counts.requests += 1 }
        return decide(.afterRequest, begins: begins, talk, otherwise: .passAndCut)
    }

    /// The server sent bytes.
    mutating func answered(_ talk: inout Talk) -> Action {
        let begins = talk.isAsked
        (talk.isAsked, talk.isAnswered) = (false, true)
        if begins { counts.answers += 1 }
        return decide(.beforeAnswer, begins: begins, talk, otherwise: .cut)
    }

    /// What the client hears of what the server said.
    func rewritten(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for (said, heard) in rewrites where said.count == heard.count {
            while let start = bytes.firstRange(of: said)?.lowerBound {
                bytes.replaceSubrange(start..<start + heard.count, with: heard)
            }
        }
        return bytes
    }

    private mutating func decide(
        _ cut: FaultProxy.Cut,
        begins: Bool,
        _ talk: Talk,
        otherwise action: Action
    ) -> Action {
        if case .swallow = mode {
            counts.swallowed += 1
            return .swallow
        }
        if begins, isTriggered(cut, talk.request) {
            counts.cuts += 1
            return action
        }
        guard case .delay(let wait) = mode else { return .pass(after: .zero) }
        counts.delayed += 1
        return .pass(after: wait)
    }

    /// Counts down every trigger that is meant; the first that is due goes off.
    private mutating func isTriggered(_ cut: FaultProxy.Cut, _ request: [UInt8]) -> Bool {
        var isDue = false
        for index in triggers.indices where triggers[index].cut == cut && request.holds(triggers[index].words) {
            triggers[index].left -= 1
            if triggers[index].left == 0 { isDue = true }
        }
        triggers.removeAll { $0.left <= 0 }
        return isDue
    }
}

extension [UInt8] {
    /// Whether these bytes are somewhere in it; none are everywhere.
    fileprivate func holds(_ words: [UInt8]) -> Bool {
        guard !words.isEmpty else { return true }
        guard count >= words.count else { return false }
        return (0...(count - words.count)).contains { self[$0] == words[0] && self[$0...].starts(with: words) }
    }
}
