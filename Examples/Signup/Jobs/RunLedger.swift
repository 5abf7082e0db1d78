// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Appends one line, `<job id> <epoch>`, to a file for every attempt that starts.
///
/// The store says how jobs ended; this says what was really run, also by a process that was killed a moment
/// later. The crash drill compares the two.
final class RunLedger: JobInterceptor {
    private let descriptor: Int32

    /// A ledger in this file, which is made or added to.
    /// - Throws: ``StartError``.
    init(path: String) throws {
        descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw StartError("RUN_LEDGER: '\(path)' cannot be opened for writing") }
    }

    deinit { close(descriptor) }

    func run(_ context: JobContext, next: () async throws -> Void) async throws {
        let line = Array("\(context.id) \(context.epoch)\n".utf8)
        // One call: lines of several processes never mix.
        guard write(descriptor, line, line.count) == line.count else {
            throw StartError("the run ledger cannot be written")
        }
        try await next()
    }
}
