// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand
import ErrandPostgres
import ErrandRedis
import ErrandSQLite
import Foundation

/// The store that a URL names, for every process of a chaos run.
package enum ChaosStore {
    /// Opens it: `sqlite:/path/of/the/file`, `postgres://…`, `redis://…`. Each engine has its scheme here. `flawed-` and the name of a flaw and `+`
    /// before it make a store that is broken.
    package static func open(_ url: String) async throws -> any JobStore {
        if url.hasPrefix("flawed-"), let end = url.firstIndex(of: "+") {
            let word = String(url[..<end].dropFirst("flawed-".count))
            guard let flaw = FlawedStore.Flaw(rawValue: word) else {
                throw StoreError(.unsupported, "'\(word)' is no flaw; see FlawedStore")
            }
            return FlawedStore(try await open(String(url[url.index(after: end)...])), flaw)
        }
        let scheme = url.prefix { $0 != ":" }
        switch scheme {
        case "sqlite":
            // What is proven is what happens when processes die, not when the power goes.
            return try SQLiteStore(
                path: String(url.dropFirst(scheme.count + 1)),
                configuration: SQLiteConfiguration(durability: .processCrash)
            )
        case "postgres": return try PostgresStore(url: url)
        case "redis": return try RedisStore(url: url)
        default:
            throw StoreError(.unsupported, "no store has the scheme '\(scheme)'; add it to ChaosStore")
        }
    }
}
