// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("The states of a job and their moves")
struct JobStateTests {
    /// The table of the design, written out a second time: from, and what may follow, by first letters.
    static let table: [(JobState, String)] = [
        (.waiting, "scheduled ready skipped cancelled expired"),
        (.scheduled, "ready cancelled expired"),
        (.retrying, "ready cancelled expired"),
        (.ready, "running scheduled cancelled expired"),
        (.running, "succeeded failed cancelled retrying scheduled ready"),
        (.succeeded, "ready scheduled"),
        (.failed, "ready scheduled"),
        (.cancelled, "ready scheduled"),
        (.expired, "ready scheduled"),
        (.skipped, "ready scheduled"),
    ]

    @Test("the table of moves is that of the design", arguments: table)
    func moves(from state: JobState, to words: String) {
        let allowed = Set(words.split(separator: " ").map(String.init))
        for next in JobState.allCases {
            #expect(state.canMove(to: next) == allowed.contains(next.word), "\(state) to \(next)")
        }
    }

    @Test("five states are pending or running, five are final")
    func kinds() {
        #expect(JobState.allCases.filter(\.isPending) == [.waiting, .scheduled, .retrying, .ready])
        #expect(JobState.allCases.filter(\.isFinal) == [.succeeded, .failed, .cancelled, .expired, .skipped])
    }

    @Test("stored numbers and words stay what they are")
    func stored() {
        let words = "waiting scheduled retrying ready running succeeded failed cancelled expired skipped"
        #expect(JobState.allCases.map(\.rawValue) == Array(0...9))
        #expect(JobState.allCases.map(\.word).joined(separator: " ") == words)
        for state in JobState.allCases { #expect(JobState(word: state.word) == state) }
        #expect(JobState(word: "done") == nil)
    }
}
