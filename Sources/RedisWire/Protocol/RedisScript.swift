// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A Lua script that the server runs as one act.
///
/// It is sent once to each server and then called by its digest; a server that forgot it is given it again.
public struct RedisScript: Sendable, Hashable {
    /// A short name, for errors and to tell scripts apart.
    public let name: String
    /// The text.
    public let source: String

    /// A script; two of one client must not have the same name.
    public init(name: String, source: String) {
        self.name = name
        self.source = source
    }
}
