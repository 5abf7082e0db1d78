// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What happened, in order, written from anywhere.
final class Recorder<Value: Sendable>: Sendable {
    private let recorded = Mutex<[Value]>([])

    var values: [Value] { recorded.withLock { $0 } }

    func record(_ value: Value) { recorded.withLock { $0.append(value) } }
}
