// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What goes wrong with one call.
package enum CallFault: Sendable, Hashable {
    /// It has no effect and fails.
    case refused
    /// It has its effect; the answer is lost.
    case answerLost
    /// It is carried out twice.
    case repeated
    /// It reaches the store this much later.
    case late(Duration)
    /// Its answer comes this much later.
    case lateAnswer(Duration)

    var word: String {
        switch self {
        case .refused: "refused-call"
        case .answerLost: "lost-answer"
        case .repeated: "repeated-call"
        case .late: "late-call"
        case .lateAnswer: "late-answer"
        }
    }
}
