// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import RedisWire

extension StoreError {
    /// What an error of the server or of the way to it means to a caller, and what to do about it.
    ///
    /// - Parameter writes: Whether the call may have changed something; the lost answer of one that only reads leaves nothing
    ///   open.
    init(redis error: RedisError, writes: Bool = true) {
        switch error.code {
        case .closed: self = .storeClosed
        case .outcomeUnknown where writes:
            self.init(
                .outcomeUnknown,
                "the answer of the server was lost; repeat the call, which is safe",
                cause: error
            )
        case .outcomeUnknown, .notSent, .refused:
            let (code, message) = Self.meaning(of: error.word, isSent: error.code == .refused)
            self.init(code, message, cause: error)
        }
    }

    private static func meaning(of word: String?, isSent: Bool) -> (Code, String) {
        switch word {
        case "WRONGPASS":
            (.unavailable, "the server refuses user or password; check both in the URL, and the user with ACL LIST")
        case "NOAUTH":
            (.unavailable, "the server asks for a password; put it into the URL: redis://user:password@host")
        case "NOPERM":
            (
                .unavailable,
                "the user may not do this; grant it: ACL SETUSER name ~{errand:*} &{errand:* +@all -@admin +info "
                    + "+config|get"
            )
        case "LOADING": (.unavailable, "the server reads its data from disk; try again when it is done")
        case "BUSY": (.unavailable, "the server is busy with a script; try again")
        case "READONLY":
            (.unavailable, "the server is a replica that cannot be written; give the address of the primary")
        case "MASTERDOWN":
            (.unavailable, "the server is a replica without its primary; give the address of the primary")
        case "CLUSTERDOWN", "TRYAGAIN":
            (.unavailable, "the cluster does not serve this part of its keys now; check its state with CLUSTER INFO")
        case "MOVED", "ASK", "CROSSSLOT":
            (
                .unsupported,
                "the keys of this deployment lie on another node of the cluster; give the address of the node that the "
                    + "answer names"
            )
        case "OOM":
            (.full, "the server's memory is full; raise maxmemory or let workers and retention make room")
        case "MISCONF":
            (
                .unavailable,
                "the server refuses writes because it cannot write its own files; check its disk and its log"
            )
        case "NOREPLICAS":
            (.unavailable, "too few replicas are connected (min-replicas-to-write); check them")
        case "NOWORKER": (.notFound, "the worker is not registered; register a fresh identity")
        case "NOPROTO", "NOSCRIPT", "UNKILLABLE": (.unavailable, "the server refused the call; try again")
        case "WRONGTYPE":
            (.corrupt, "a key of this deployment is not what the store wrote; give the deployment a name of its own")
        case "ERR" where isSent:
            (.corrupt, "the server could not carry out a script; it may be older than 7.0, or its data is damaged")
        default:
            (.unavailable, "the server cannot be reached; check that it runs, then its address in the URL")
        }
    }

    static let storeClosed = StoreError(.closed, "the store was closed; open a new one")

    /// An answer that no script of this build gives.
    static let oddAnswer = StoreError(.corrupt, "the server's answer is not understood; is a proxy in between?")
}
