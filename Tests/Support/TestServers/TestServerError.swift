// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A server for tests could not be started or managed, and what to do about it.
public struct TestServerError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}
