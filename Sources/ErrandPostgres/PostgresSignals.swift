// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

final class PostgresSignals: Sendable {
    init(_ target: PostgresLink.Target, schema: String, hub: LocalHub, origin: String, isTrusted: Bool) {}
    func close() {}
    func warning() async -> String? { nil }
    func tell(_ effects: PostgresEffects) {}
}
