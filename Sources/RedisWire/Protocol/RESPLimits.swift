// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a server may send; more is a violation of the protocol and ends the connection, so that neither a broken nor a
/// hostile server can fill the memory.
public struct RESPLimits: Sendable, Hashable {
    /// The most bytes of one string: 64 MiB.
    public var string = 64 << 20
    /// The most bytes of a line, which is an error, a number or a short string: 64 KiB.
    public var line = 64 << 10
    /// The most elements of one array: 2,097,152.
    public var elements = 2 << 20
    /// How deep arrays may lie in each other: 16.
    public var depth = 16

    /// The defaults.
    public init() {}
}

/// Bytes that are not the protocol, or more of them than ``RESPLimits`` allows.
public struct RESPViolation: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong.
    public let description: String

    init(_ description: String) { self.description = description }
}
