// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Hummingbird

extension ResponseBody {
    /// This body, with the tasks of its request handed over when it has been written or writing has failed.
    ///
    /// The tasks stay bound while the body is written: that runs outside of every middleware, where task-locals
    /// are back to their defaults.
    func handingOver(_ tasks: BackgroundTasks) -> ResponseBody {
        let ticket = HandOverTicket(tasks)
        return ResponseBody(contentLength: contentLength) { writer in
            do {
                try await BackgroundTasks.$current.withValue(ticket.tasks) { [writer] in
                    try await self.write(writer)
                }
            } catch {
                try await ticket.tasks.handOver(.failed(error))
                throw error
            }
            try await ticket.tasks.handOver(.complete)
        }
    }
}

/// Sees to it that tasks are handed over even when their response is never written.
///
/// When the head of a response cannot be written, because the client is gone, nobody asks for its body. Then
/// all that happens is that the body is freed, and this with it.
private final class HandOverTicket: Sendable {
    let tasks: BackgroundTasks

    init(_ tasks: BackgroundTasks) {
        self.tasks = tasks
    }

    deinit {
        tasks.handOverNow(.failed(ResponseNotWritten()))
    }
}

/// The response could not even be begun: the connection was gone.
struct ResponseNotWritten: Error {}
