// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

/// A history with one thing wrong, and the promise that this breaks.
struct BadHistory: Sendable, CustomTestStringConvertible {
    let id: String
    let name: String
    let write: @Sendable (inout HistoryScript) -> Void

    init(_ id: String, _ name: String, _ write: @escaping @Sendable (inout HistoryScript) -> Void) {
        self.id = id
        self.name = name
        self.write = write
    }

    var testDescription: String { "\(id): \(name)" }

    static let all: [BadHistory] = [
        BadHistory("S1", "an acknowledged job has no row") { script in
            let job = script.new()
            script.call(.insert([job], offer: nil), .insert([.stored(job.id)]))
        },
        BadHistory("S1", "a row is gone at the end") { script in
            let row = script.insert(script.new())
            script.rows[row.id] = nil
        },
        BadHistory("S2", "a row was inserted by nobody") { script in
            script.call(.read, .done, (nil, JobRecord(script.new(), at: script.now)))
        },
        BadHistory("S3", "a job ends twice in one run") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new()), on: worker)
            var ended = script.settle(running.row, running.lease, .success)
            let before = ended
            ended.state = .ready
            script.call(.maintain(.expire), .maintain(MaintenanceReport()), (before, ended))
        },
        BadHistory("S4", "an epoch is given out twice") { script in
            let (one, other) = (script.worker(), script.worker())
            let running = script.claim(script.insert(script.new()), on: one)
            let second = Lease(job: running.row.id, worker: other, epoch: running.lease.epoch)
            script.call(script.ask(other), script.answer(running.row, second))
        },
        BadHistory("S4", "an epoch comes again") { script in
            let worker = script.worker()
            let first = script.claim(script.insert(script.new()), on: worker)
            let ready = script.settle(first.row, first.lease, .released)
            _ = script.claim(ready, on: worker) { $0.epoch = 1 }
        },
        BadHistory("S5", "a stale settlement ends the attempt of another worker") { script in
            let (one, other) = (script.worker(), script.worker())
            let first = script.start(script.insert(script.new()), on: one)
            script.wait(.minutes(1))
            let second = script.start(script.rescue(first.row), on: other)
            _ = script.settle(second.row, first.lease, .success)
        },
        BadHistory("S5", "a beat does not say that a lease is lost") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new()), on: worker)
            script.wait(.minutes(1))
            _ = script.rescue(running.row)
            script.beat(worker, [running.lease])
        },
        BadHistory("S6", "a held job is claimed") { script in
            let worker = script.worker()
            let row = script.insert(script.new())
            var held = row
            _ = held.hold(Hold(actor: "ada", reason: "", since: script.now))
            script.operate(.hold(lasting: nil), row, held)
            _ = script.claim(held, on: worker)
        },
        BadHistory("S6", "a paused job is claimed") { script in
            let worker = script.worker()
            let row = script.insert(script.new())
            script.call(.controls([.pause(.everything, actor: "ada", reason: "", lasting: nil)]), .done)
            _ = script.claim(row, on: worker)
        },
        BadHistory("S6", "a job is claimed before its time") { script in
            let worker = script.worker()
            let row = script.insert(script.new { $0.start = .after(.minutes(5)) })
            var ready = row
            ready.state = .ready
            script.call(.read, .done, (row, ready))
            _ = script.claim(ready, on: worker)
        },
        BadHistory("S7", "a failure counts twice") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new { $0.retry = .attempts(5) }), on: worker)
            _ = script.settle(running.row, running.lease, .failure) { $0.failures += 1 }
        },
        BadHistory("S7", "a job out of attempts goes on") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new { $0.retry = .none }), on: worker)
            _ = script.settle(running.row, running.lease, .failure) { ($0.state, $0.reason) = (.ready, nil) }
        },
        BadHistory("S8", "a handler begins twice under one lease") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new()), on: worker)
            script.record(.started(running.lease, payload: running.row.payload.digest))
        },
        BadHistory("S8", "a job is rescued from a worker that beats") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new()), on: worker)
            _ = script.rescue(running.row)
        },
        BadHistory("S9", "two jobs have one key") { script in
            _ = script.insert(script.new { $0.unique = UniqueRule(key: "k") })
            _ = script.insert(script.new { $0.unique = UniqueRule(key: "k") })
        },
        BadHistory("S9", "a job runs again under a key that another has") { script in
            let worker = script.worker()
            let first = script.start(script.insert(script.new { $0.unique = UniqueRule(key: "k") }), on: worker)
            let ended = script.settle(first.row, first.lease, .success)
            _ = script.insert(script.new { $0.unique = UniqueRule(key: "k") })
            var again = ended
            _ = again.retry(after: .zero, at: script.now)
            script.operate(.retry(spread: .zero), ended, again)
        },
        BadHistory("S12", "a cancelled job is claimed") { script in
            let worker = script.worker()
            let row = script.insert(script.new())
            script.call(
                .operate(Operation(.cancel, on: .ids([row.id]), actor: "ada", reason: "")),
                .operate(OperationReport(changed: [row.id]))
            )
            _ = script.claim(row, on: worker)
        },
        BadHistory("S12", "a job that was to be cancelled is tried again") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new()), on: worker)
            var asked = running.row
            _ = asked.cancel(by: "ada", reason: "", at: script.now)
            script.operate(.cancel, running.row, asked)
            _ = script.settle(asked, running.lease, .failure) { ($0.state, $0.finishedAt) = (.ready, nil) }
        },
        BadHistory("S19", "a job that killed one worker too many goes on") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new { $0.crashesAllowed = 0 }), on: worker)
            script.wait(.minutes(1))
            _ = script.rescue(running.row) { ($0.state, $0.reason) = (.ready, nil) }
        },
        BadHistory("S20", "the counts are not those of the rows") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new()), on: worker)
            _ = script.settle(running.row, running.lease, .success)
            script.miscounted = 1
        },
        BadHistory("S21", "a handler gets another payload") { script in
            let worker = script.worker()
            let running = script.claim(script.insert(script.new()), on: worker)
            script.record(.started(running.lease, payload: 0))
        },
        BadHistory("S22", "an acknowledged settlement was not written") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new()), on: worker)
            script.call(
                .settle([Settlement(lease: running.lease, outcome: .success)]),
                .settle([.applied(.succeeded)])
            )
        },
        BadHistory("S22", "a caller is told an end that the job never had") { script in
            let worker = script.worker()
            let running = script.start(script.insert(script.new()), on: worker)
            script.record(.awaited(running.row.id, .failed))
            _ = script.settle(running.row, running.lease, .success)
        },
        BadHistory("S23", "prune deletes a job that waits") { script in
            let row = script.insert(script.new())
            script.call(.maintain(.prune(RetentionPolicy())), .maintain(MaintenanceReport()), (row, nil))
        },
        BadHistory("L1", "a job has no end") { script in
            _ = script.insert(script.new())
            script.isQuiet = false
        },
        BadHistory("L2", "a job stays with a dead worker") { script in
            let (one, _) = (script.worker(), script.worker())
            let running = script.start(script.insert(script.new()), on: one)
            script.record(.crashed([one]))
            script.record(.healed, in: 0)
            script.wait(.minutes(5))
            _ = script.rescue(running.row)
        },
        BadHistory("L3", "a worker holds a job that its beats do not list") { script in
            let worker = script.worker()
            script.record(.healed, in: 0)
            script.wait(.minutes(2))
            _ = script.claim(script.insert(script.new()), on: worker)
            for _ in 0..<3 { script.beat(worker, []) }
        },
        BadHistory("L4", "a ready job waits for an idle worker") { script in
            let worker = script.worker()
            script.record(.healed, in: 0)
            script.wait(.minutes(2))
            let row = script.insert(script.new())
            script.wait(.seconds(20))
            _ = script.claim(row, on: worker)
        },
        BadHistory("L6", "a worker does not stop") { script in
            script.record(.stopping)
            script.wait(.minutes(1))
            script.record(.stopped)
        },
    ]
}
