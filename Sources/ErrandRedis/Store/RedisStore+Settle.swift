// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Ends attempts; see ``/ErrandCore/JobStore/settle(_:)``.
    ///
    /// Successes that leave nothing else behind are ended some hundred at a time by one script; the others are decided one by
    /// one and written together.
    public func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        try await perform { () throws(StoreError) in try await settleAll(settlements) }
    }

    /// Writes progress, log lines and checkpoints; see ``/ErrandCore/JobStore/note(_:)``.
    public func note(_ notes: [LeaseNote]) async throws -> [Bool] {
        try await perform { () throws(StoreError) in
            var answers: [Bool] = []
            for some in notes.bites(of: 50) {
                answers += try await decide(some.map(\.lease.job)) { table throws(Missing) in
                    var held: [Bool] = []
                    for note in some { held.append(try table.note(note)) }
                    return held
                }
            }
            return answers
        }
    }

    private func settleAll(_ settlements: [Settlement]) async throws(StoreError) -> [SettleAnswer] {
        var answers = [SettleAnswer](repeating: .leaseLost, count: settlements.count)
        var (plain, others) = ([Int](), [Int]())
        var decided: Set<JobID> = []
        for (index, settlement) in settlements.enumerated() {
            // Ends of the same job are written in their order.
            if settlement.isPlain, !decided.contains(settlement.lease.job) {
                plain.append(index)
            } else {
                decided.insert(settlement.lease.job)
                others.append(index)
            }
        }
        let bites = plain.bites(of: configuration.jobsPerScript).map { SettleGroup.all($0, of: settlements) }
        let said =
            bites.isEmpty
            ? []
            : try await run(RedisScripts.settle, times: bites.count) { bite, command in
                command.append(origin)
                var scratch = ByteBuffer()
                for group in bites[bite] { group.write(of: settlements, to: &command, using: &scratch) }
            }
        var finished: [JobID] = []
        for (bite, answer) in zip(bites, said) {
            let indices = bite.flatMap { $0.indices }
            guard answer.count == 2, let letters = answer[1].buffer, letters.readableBytes == indices.count else {
                throw StoreError.oddAnswer
            }
            for (index, letter) in zip(indices, letters.readableBytesView) {
                switch letter {
                case UInt8(ascii: "a"):
                    answers[index] = .applied(.succeeded)
                    finished.append(settlements[index].lease.job)
                case UInt8(ascii: "s"): others.append(index)
                default: break
                }
            }
        }
        if hub.isWatched, !finished.isEmpty { hub.publishFinished(finished) }
        others.sort()
        for some in others.bites(of: 100) {
            let written = try await settle(
                some.map { settlements[$0] },
                isLate: !said.isEmpty || some.first != others.first
            )
            for (index, answer) in zip(some, written) { answers[index] = answer }
        }
        return answers
    }

    /// Ends that are decided here.
    /// - Parameter isLate: Whether others of the same call were written, so that the whole of it is open when this fails.
    private func settle(_ some: [Settlement], isLate: Bool) async throws(StoreError) -> [SettleAnswer] {
        do throws(StoreError) {
            let followUps = some.flatMap(\.followUps)
            let ids = some.map(\.lease.job) + followUps.map(\.id)
            let keys = followUps.compactMap(\.unique?.key)
            return try await decide(ids, keys: keys, withPayload: !followUps.isEmpty) { table throws(Missing) in
                var answers: [SettleAnswer] = []
                for settlement in some { answers.append(try table.settle(settlement)) }
                return answers
            }
        } catch {
            guard isLate, error.code == .unavailable || error.code == .full else { throw error }
            throw StoreError(.outcomeUnknown, "a part of the call was written; repeat it, which is safe", cause: error)
        }
    }
}

extension Settlement {
    /// Whether it may be one of those that a script ends.
    fileprivate var isPlain: Bool {
        if case .succeeded = outcome { followUps.isEmpty } else { false }
    }
}

extension Array {
    /// The elements in order, in pieces of at most this many.
    func bites(of most: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: Swift.max(most, 1)).map { self[$0..<Swift.min($0 + Swift.max(most, 1), count)] }
    }
}
