// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Ends what a test process started and removes its folders when that process is gone, also when it crashed or was killed.
///
/// A shell that is told what there is and waits for the end of its input, which comes when nobody holds the other end any
/// more: that is this process alone, because none that it starts inherits it.
final class ChildWatch: Sendable {
    private static let script = """
        exec >/dev/null 2>&1
        pids=
        while read -r word value rest; do
            case $word in
                add) pids="$pids $value:$rest" ;;
                forget)
                    left=
                    for one in $pids; do [ "${one%%:*}" = "$value" ] || left="$left $one"; done
                    pids=$left
                    ;;
                folder) set -- "$@" "$value${rest:+ $rest}" ;;
            esac
        done
        for one in $pids; do
            # One that a test froze must run to hear the other.
            kill -CONT "${one%%:*}"
            kill "-${one##*:}" "${one%%:*}"
        done
        tries=0
        for one in $pids; do
            while kill -0 "${one%%:*}" && [ $tries -lt 100 ]; do
                sleep 0.1
                tries=$((tries + 1))
            done
        done
        rm -rf "$@"
        """

    /// Watches what this process starts.
    static let shared = ChildWatch()

    /// The shell and where it listens; `nil` before the first word.
    private let shell = Mutex<(id: pid_t, input: Int32)?>(nil)

    /// From now on this process is ended with the tests.
    func add(_ id: pid_t, ending: Int32) { tell("add \(id) \(ending)") }

    /// It ended by itself.
    func forget(_ id: pid_t) { tell("forget \(id)") }

    /// From now on this folder is removed with the tests. It is removed after all processes have ended.
    func add(folder: String) { tell("folder \(folder)") }

    /// As the end of this process does; returns when all is done.
    func end() {
        guard let shell = shell.withLock({ $0.take() }) else { return }
        _ = close(shell.input)
        while waitpid(shell.id, nil, 0) == -1, errno == EINTR {}
    }

    private func tell(_ line: String) {
        shell.withLock { shell in
            if shell == nil, let streams = try? SpawnStreams(isFed: true, keepsErrors: false),
                let id = try? streams.start(["/bin/sh", "-c", Self.script, "watch"]), let input = streams.input
            {
                _ = close(streams.output)
                shell = (id, input)
            }
            let bytes = Array("\(line)\n".utf8)
            if let shell { _ = send(shell.input, bytes, bytes.count, SpawnStreams.quietly) }
        }
    }
}
