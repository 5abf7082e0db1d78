// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Synchronization

/// What two workers told while the drill ran.
final class DrillEvents: Sendable {
    struct Seen: Sendable {
        var leasesLost = 0
        var fences = 0
        var storeFailures = 0
        var rescued = 0
        var blocking: Set<String> = []
        var abandoned: Set<JobID> = []
        /// When the first attempt of a job started here.
        var started: [JobID: Duration] = [:]
    }

    private let state = Mutex(Seen())

    var seen: Seen { state.withLock { $0 } }

    /// Listens to the worker that is starved.
    func listen(to hub: EventHub, _ clock: some ErrandClock) {
        _ = hub.observe { event in
            let now = clock.uptime
            self.state.withLock { seen in
                switch event {
                case .leaseLost: seen.leasesLost += 1
                case .fenced: seen.fences += 1
                case .storeLost: seen.storeFailures += 1
                case .blocking(let name, _): seen.blocking.insert(name.rawValue)
                case .abandoned(let id, _): seen.abandoned.insert(id)
                case .started(let id, _, _, _): if seen.started[id] == nil { seen.started[id] = now }
                case .enqueued, .ended, .rescued, .orphaned, .storeBack, .ticked, .scheduleBroken, .scheduleBlocked,
                    .clockJumped:
                    break
                }
            }
        }
    }

    /// Listens to the worker that looks for the dead.
    func listen(toRescuer hub: EventHub) {
        _ = hub.observe { event in
            if case .rescued(let jobs) = event { self.state.withLock { $0.rescued += jobs.count } }
        }
    }
}
