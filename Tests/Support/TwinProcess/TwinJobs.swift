// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Synchronization

/// A job that is done at once.
struct Note: Job {
    typealias Output = String
    static let name: JobName = "note"
    var text: String
}

/// A job that runs until somebody says that it may end.
struct Stay: Job {
    typealias Output = String
    static let name: JobName = "stay"
    var text: String
}

/// Where running jobs wait for the word to end, or for their cancellation.
final class Desk: Sendable {
    private struct State {
        var released: Set<JobID> = []
        var waiting: [JobID: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    func wait(for id: JobID) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReleased = state.withLock { state in
                    if state.released.contains(id) { return true }
                    state.waiting[id] = continuation
                    return false
                }
                if isReleased { continuation.resume() }
            }
        } onCancel: {
            release(id)
        }
    }

    func release(_ id: JobID) {
        let waiting = state.withLock { state in
            state.released.insert(id)
            return state.waiting.removeValue(forKey: id)
        }
        waiting?.resume()
    }
}
