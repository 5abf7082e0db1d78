// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import RedisWire

/// The scripts of the store, each with what it shares with the others in front of it.
enum RedisScripts {
    static let insert = make("insert", PackageResources.insert_lua, sharing: [PackageResources.claiming_lua], "")
    static let claim = make("claim", PackageResources.claim_lua, sharing: [PackageResources.claiming_lua])
    static let settle = make("settle", PackageResources.settle_lua)
    static let beat = make("beat", PackageResources.beat_lua)
    static let commit = make("commit", PackageResources.commit_lua)
    /// Refused when the server's memory is full, like every other way to store a job.
    static let commitNew = make("commit-new", PackageResources.commit_lua, "")
    static let export = make("export", PackageResources.export_lua)
    static let prune = make("prune", PackageResources.prune_lua)
    static let sweep = make("sweep", PackageResources.sweep_lua)
    static let promote = make("promote", PackageResources.promote_lua, sharing: [PackageResources.claiming_lua])
    static let read = make("read", PackageResources.read_lua, "flags=no-writes")
    static let fetch = make("fetch", PackageResources.fetch_lua, "flags=no-writes")
    static let lanes = make("lanes", PackageResources.lanes_lua, "flags=no-writes")

    static let schedules = make(
        "schedules",
        PackageResources.schedules_lua,
        sharing: [PackageResources.ranks_lua],
        "flags=no-writes"
    )
    static let ticks = make(
        "ticks",
        PackageResources.ticks_lua,
        sharing: [PackageResources.ranks_lua],
        "flags=no-writes"
    )
    static let forget = make("forget", PackageResources.forget_lua)

    /// What ends, starts or deletes jobs goes on when the memory is full, or it would stay full.
    private static func make(
        _ name: String,
        _ body: [UInt8],
        sharing: [[UInt8]] = [],
        _ flags: String = "flags=allow-oom"
    ) -> RedisScript {
        let parts = [PackageResources.library_lua] + sharing + [body]
        let text = parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
        return RedisScript(name: name, source: "#!lua \(flags)\n\(text)")
    }
}
