// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Joins concurrent calls into batched writes: group commit above the store.
///
/// The caller that finds nothing in flight writes at once, for itself. Those that arrive meanwhile wait; when
/// the write ends, the first of them writes for all of them. No task is started and no time passes for its own
/// sake. What waits is bounded by the callers, each of which is suspended until its items are answered.
final class CallBatcher<Item: Sendable, Answer: Sendable>: Sendable {
    private typealias Queue = BatchQueue<Item, Waiter>
    private typealias Waiter = CheckedContinuation<Turn, any Error>

    private enum Turn: Sendable {
        case lead([Queue.Call])
        case answered([Answer])
    }

    private let queue: Mutex<Queue>
    private let write: @Sendable ([Item]) async throws -> [Answer]

    /// - Parameters:
    ///   - limit: The most items of one write.
    ///   - write: Writes items and answers one for one, in order.
    init(limit: Int, write: @escaping @Sendable ([Item]) async throws -> [Answer]) {
        queue = Mutex(Queue(limit: limit))
        self.write = write
    }

    /// Writes items, possibly together with those of other callers, and returns their answers in order.
    /// - Throws: What the write threw; every caller of the batch gets the same error.
    func submit(_ items: [Item]) async throws -> [Answer] {
        guard !items.isEmpty else { return [] }
        if case .lead = queue.withLock({ $0.arrive() }) {
            return try await lead(items, followers: [])
        }
        let turn: Turn = try await withCheckedThrowingContinuation { continuation in
            // The write in flight may have ended since: then this call leads after all.
            let leads = queue.withLock { queue in
                if case .lead = queue.arrive() { return true }
                queue.enqueue(Queue.Call(items: items, waiter: continuation))
                return false
            }
            if leads { continuation.resume(returning: .lead([])) }
        }
        switch turn {
        case .answered(let answers): return answers
        case .lead(let followers): return try await lead(items, followers: followers)
        }
    }

    /// How many calls wait for the write in flight to end.
    var waitingCalls: Int { queue.withLock { $0.waitingCalls } }

    private func lead(_ items: [Item], followers: [Queue.Call]) async throws -> [Answer] {
        let batch = followers.isEmpty ? items : followers.reduce(into: items) { $0 += $1.items }
        let result: Result<[Answer], any Error>
        do {
            let answers = try await write(batch)
            guard answers.count == batch.count else {
                throw StoreError(.corrupt, "the store gave \(answers.count) answers for \(batch.count) items")
            }
            result = .success(answers)
        } catch {
            result = .failure(error)
        }
        passOn()
        answer(followers, with: result, from: items.count)
        return try followers.isEmpty ? result.get() : Array(result.get().prefix(items.count))
    }

    private func passOn() {
        let next = queue.withLock { $0.finishWrite() }
        guard let leader = next.first else { return }
        leader.waiter.resume(returning: .lead(Array(next.dropFirst())))
    }

    private func answer(_ calls: [Queue.Call], with result: Result<[Answer], any Error>, from start: Int) {
        var position = start
        for call in calls {
            switch result {
            case .success(let answers):
                call.waiter.resume(returning: .answered(Array(answers[position..<(position + call.items.count)])))
            case .failure(let error):
                call.waiter.resume(throwing: error)
            }
            position += call.items.count
        }
    }
}
