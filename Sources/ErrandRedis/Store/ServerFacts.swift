// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// What a server says about itself, and whether jobs may be trusted to it. Pure: texts in, a judgement out.
struct ServerFacts: Sendable, Equatable {
    /// The number of the layout of the stored data.
    static let schema = 1

    var version = "unknown"
    var isValkey = false
    var isReplica = false
    /// `nil` when the server does not tell.
    var policy: String?
    /// Whether there is an append-only file; `nil` when the server does not tell.
    var hasFile: Bool?
    /// When it is flushed; `nil` when the server does not tell.
    var flush: String?
    /// Whether snapshots are taken by themselves; `nil` when the server does not tell.
    var hasSnapshots: Bool?
    /// The layout of the stored data.
    var schema = ServerFacts.schema

    /// - Parameters:
    ///   - info: The answer to INFO, if it may be asked.
    ///   - settings: The answers to CONFIG GET, if it may be asked.
    init(info: String?, settings: [String: String]?) {
        var words: [Substring: Substring] = [:]
        for line in (info ?? "").split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { words[parts[0]] = parts[1] }
        }
        isValkey = words["server_name"] == "valkey"
        if let version = (isValkey ? words["valkey_version"] : nil) ?? words["redis_version"] {
            self.version = String(version)
        }
        isReplica = words["role"] == "slave"
        policy = settings?["maxmemory-policy"] ?? words["maxmemory_policy"].map(String.init)
        hasFile = settings?["appendonly"].map { $0 == "yes" } ?? words["aof_enabled"].map { $0 == "1" }
        flush = settings?["appendfsync"]
        hasSnapshots = settings?["save"].map { !$0.isEmpty }
    }

    /// Why no job may be stored on this server; `nil` when all is well.
    var refusal: StoreError? {
        if let major = Int(version.prefix { $0 != "." }), major < 7 {
            return StoreError(.incompatible, "the server is version \(version); Errand needs Redis 7.0, or Valkey")
        }
        if schema > Self.schema {
            return StoreError(
                .incompatible,
                "the data of this deployment was written by a newer build (layout \(schema), this one knows "
                    + "\(Self.schema)); update this process"
            )
        }
        switch policy {
        case "noeviction": return nil
        case nil:
            return StoreError(
                .incompatible,
                "the server does not say whether it may delete keys when its memory is full; let the user ask: ACL "
                    + "SETUSER name +info +config|get"
            )
        case let policy?:
            return StoreError(
                .incompatible,
                "the server deletes keys when its memory is full (maxmemory-policy \(policy)), and jobs with them: set "
                    + "maxmemory-policy noeviction"
            )
        }
    }

    /// What an acknowledged write survives.
    var durability: StoreDescription.Durability {
        guard hasFile == true else { return .none }
        return flush == "always" ? .powerLoss : .processCrash
    }

    /// What an operator should know, each a sentence.
    var warnings: [String] {
        var warnings: [String] = []
        if hasFile == nil {
            warnings.append("the server does not say whether it keeps a file; grant +info or +config|get to the user")
        } else if hasFile == false {
            let rest = hasSnapshots == false ? "everything is lost" : "everything since its last snapshot is lost"
            warnings.append("the server keeps no append-only file: when it stops, \(rest); set appendonly yes")
        } else if flush == nil {
            warnings.append(
                "the server does not say when it flushes its file (CONFIG GET appendfsync is not allowed): a power cut may "
                    + "lose the newest writes"
            )
        } else if flush == "no" {
            warnings.append(
                "the server leaves it to the system when its file is flushed; set appendfsync everysec or always"
            )
        }
        if isReplica { warnings.append("the server is a replica; give the address of the primary") }
        return warnings
    }

    var description: StoreDescription {
        StoreDescription(
            engine: isValkey ? "valkey" : "redis",
            engineVersion: version,
            schemaVersion: schema,
            durability: durability,
            isShared: true,
            hasTransactions: false,
            isMovable: true,
            warnings: warnings
        )
    }
}
