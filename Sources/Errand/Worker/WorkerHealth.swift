// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How a worker is, for health endpoints.
public struct WorkerHealth: Sendable, Hashable {
    /// True while the worker claims: it is registered, trusts its leases and was not told to stop.
    public var isReady: Bool
    /// How long ago the store last answered a claim or a beat; `nil` before the first answer. This, not the life
    /// of the process, says whether the worker works.
    public var lastAnswerAge: Duration?
    /// How long ago the store last answered a claim; `nil` before the first answer. Grows while all slots are taken,
    /// because nothing is asked then; at most ``WorkerConfiguration/idlePollInterval`` and a round trip otherwise.
    public var lastClaimAge: Duration?
    /// Since the store last failed and has not answered.
    public var isStoreLost: Bool
    /// Jobs in slots.
    public var running: Int
    /// Handlers that ignored their cancellation and whose slots were taken from them. At three, or a tenth of
    /// the slots, restart the process.
    public var zombies: Int
    /// Whether so many zombies run that the process should be restarted.
    public var shouldRestart: Bool
}
