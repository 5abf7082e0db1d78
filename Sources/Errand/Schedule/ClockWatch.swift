// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// Compares how far a store's clock and the host's moved, so that a clock that was set to another year does not decide
/// the ticks of all the time between.
///
/// The host's clock must count through suspension: then a machine that slept is no jump. A watch that has just begun
/// has nothing to compare and believes.
struct ClockWatch {
    let tolerance: Duration
    let distrust: Duration
    private var base: (store: Timestamp, uptime: Duration)?
    private var doubtedSince: Duration?

    init(tolerance: Duration, distrust: Duration) {
        (self.tolerance, self.distrust) = (tolerance, distrust)
    }

    /// What a look at the store's clock means.
    enum Verdict: Hashable {
        /// It may decide.
        case believed
        /// It jumped ahead by this; it is asked again after `wait`.
        case jumped(Duration, wait: Duration, isNew: Bool)
    }

    mutating func look(_ store: Timestamp, at uptime: Duration) -> Verdict {
        guard let base else {
            self.base = (store, uptime)
            return .believed
        }
        let gain = (store - base.store) - (uptime - base.uptime)
        guard gain > tolerance else {
            (self.base, doubtedSince) = ((store, uptime), nil)
            return .believed
        }
        let since = doubtedSince ?? uptime
        let left = distrust - (uptime - since)
        guard left > .zero else {
            (self.base, doubtedSince) = ((store, uptime), nil)
            return .believed
        }
        let isNew = doubtedSince == nil
        doubtedSince = since
        return .jumped(gain, wait: left, isNew: isNew)
    }
}
