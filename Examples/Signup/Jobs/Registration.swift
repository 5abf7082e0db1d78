// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Somebody who wants an account.
struct Registration: Codable, Sendable, Hashable {
    var email: String
    var name: String
}
