// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension RedisClient {
    /// Runs a script some times, each with arguments of its own, without waiting in between.
    ///
    /// - Parameters:
    ///   - script: What to run.
    ///   - keys: How many of the arguments of each are keys.
    ///   - times: How often.
    ///   - arguments: Adds the keys and arguments of one of them; called again for one that the server did nothing about
    ///     because it had forgotten the script.
    /// - Throws: ``RedisError``, that of any of them; then some may have been carried out, and unless none was the code is
    ///   ``RedisError/Code/outcomeUnknown``.
    public func run(
        _ script: RedisScript,
        keys: Int,
        times: Int,
        _ arguments: (Int, inout RedisCommand) -> Void
    ) async throws(RedisError) -> [RESPValue] {
        var answers = [RESPValue](repeating: .null, count: times)
        var missing = Array(0..<times)
        for _ in 0..<3 where !missing.isEmpty {
            let digest = try await digest(of: script)
            let got = try await send(missing.count) { place in
                var command = RedisCommand(capacity: 4096)
                command.append(digest == nil ? "EVAL" : "EVALSHA")
                command.append(digest ?? script.source)
                command.append(keys)
                arguments(missing[place], &command)
                return command
            }
            var forgotten: [Int] = []
            for (index, answer) in zip(missing, got) {
                answers[index] = answer
                if case .error(let text) = answer, text.hasPrefix("NOSCRIPT") { forgotten.append(index) }
            }
            missing = forgotten
            if !missing.isEmpty { forget(script) }
        }
        let refusals = answers.compactMap { answer in
            if case .error(let text) = answer { RedisError(answer: text) } else { nil }
        }
        guard let first = refusals.first else { return answers }
        throw refusals.count == times ? first : first.unanswered
    }
}
