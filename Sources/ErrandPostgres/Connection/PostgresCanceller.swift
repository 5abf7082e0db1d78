// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CLibpq
import ErrandCore

/// Asks the server to stop what a connection is doing; from any thread.
///
/// libpq opens a second connection for it and waits there without a limit, so each request has a thread that nobody
/// waits for.
final class PostgresCanceller: Sendable {
    // guard: libpq itself; PQcancel only reads it, and it is freed when nobody can call it any more.
    nonisolated(unsafe) private let handle: OpaquePointer?

    init(_ handle: OpaquePointer?) {
        self.handle = handle
    }

    deinit { PQfreeCancel(handle) }

    func cancel() {
        OSThread.start(named: "errand-pg-stop") { [self] in
            var text = [CChar](repeating: 0, count: 256)
            _ = PQcancel(handle, &text, Int32(text.count))
        }
    }
}
