// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// One way in which a store, or the worker that uses it, can be broken.
enum Flaw: String, Sendable, CaseIterable {
    case unfencedSettle = "a settlement is applied whatever its lease"
    case lostWakeUp = "signals are lost and nobody polls"
    case rescueOfTheLiving = "jobs of workers that live are rescued"
    case retryCountedTwice = "a failure counts twice"
    case uniqueOutside = "the unique key is looked up before the insert, not in it"
    case epochForgotten = "a claim does not raise the epoch"
    case cancelIgnored = "a cancel is acknowledged and forgotten"
    case settleDropped = "a settlement is acknowledged and forgotten"
    case insertDropped = "an insert is acknowledged and forgotten"
    case doubleClaim = "a job is given to two workers"
    case releaseCounted = "a release counts as a failure"
    case beatHidesLosses = "a beat does not say which leases are lost"
    case rescueForgets = "jobs of dead workers stay where they are"
    case pruneOfTheLiving = "prune deletes a job that waits"
    case endCountedTwice = "an end is counted twice"
    case earlyPromotion = "a delayed job is ready at once"
    case oneMoreAttempt = "a job that is out of attempts gets one more"
    case crashForgiven = "a crash is not counted"
    case payloadMixedUp = "a job is claimed with the payload of another"
    case unknownNames = "jobs of unknown names are claimed"
    case pauseIgnored = "a pause is acknowledged and forgotten"

    /// The promises that may be seen to be broken first.
    var breaks: Set<String> {
        switch self {
        case .unfencedSettle: ["S5"]
        case .lostWakeUp: ["L1", "L4"]
        case .rescueOfTheLiving: ["S8"]
        case .retryCountedTwice: ["S7"]
        case .uniqueOutside: ["S9"]
        case .epochForgotten: ["S4"]
        case .cancelIgnored: ["S12"]
        case .settleDropped: ["S22"]
        case .insertDropped: ["S1"]
        case .doubleClaim: ["S4"]
        case .releaseCounted: ["S7"]
        case .beatHidesLosses: ["S5"]
        case .rescueForgets: ["L1", "L2"]
        case .pruneOfTheLiving: ["S23"]
        case .endCountedTwice: ["S20"]
        case .earlyPromotion: ["S6"]
        case .oneMoreAttempt: ["S3"]
        case .crashForgiven: ["S19"]
        case .payloadMixedUp: ["S21"]
        case .unknownNames: ["S6"]
        case .pauseIgnored: ["S6"]
        }
    }
}
