// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension JobContext {
    /// The tick that this job is for; `nil` when no schedule enqueued it.
    public var tick: Tick? { headers[Tick.header].flatMap { Tick(headerValue: $0) } }
}
