// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let fencingCases: [Case] = [
        Case("a repeat of a settlement is refused and changes nothing, for every outcome") { bench in
            let worker = try await bench.worker()
            for (outcome, state) in outcomes {
                let claimed = try await bench.run(on: worker)
                try await bench.ends(claimed.lease, outcome, as: state)
                try await bench.isFenced(claimed.lease, "after \(outcome)")
                try await bench.operate(state.isFinal ? .delete : .cancel, claimed.record.id)
            }
        },
        Case("every write of a worker whose job was rescued is refused, also after it was claimed again") { bench in
            let stale = try await bench.worker()
            let claimed = try await bench.run(on: stale)
            bench.clock.advance(by: .minutes(1))
            let worker = try await bench.worker()
            _ = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            try await bench.isFenced(claimed.lease, "after the rescue")
            let again = try await bench.take(worker)
            bench.equal(again.record.id, claimed.record.id, "the job claimed again")
            try await bench.isFenced(claimed.lease, "while another worker runs it")
            try await bench.ends(again.lease, .success, as: .succeeded)
            try await bench.isFenced(claimed.lease, "after another worker ended it")
        },
        Case("an earlier lease of the same worker is refused") { bench in
            let worker = try await bench.worker()
            let first = try await bench.run(on: worker)
            try await bench.ends(first.lease, .released, as: .ready)
            let second = try await bench.take(worker)
            try await bench.isFenced(first.lease, "under the second lease")
            try await bench.ends(second.lease, .success, as: .succeeded)
        },
        Case("the lease of another worker or another epoch is refused") { bench in
            let (worker, other) = (try await bench.worker(), try await bench.worker())
            let claimed = try await bench.run(on: worker)
            let lease = claimed.lease
            for (thief, epoch) in [(other, lease.epoch), (worker, lease.epoch + 1), (worker, lease.epoch - 1)] {
                let forged = Lease(job: lease.job, worker: thief, epoch: epoch, row: lease.row)
                try await bench.isFenced(forged, "with a forged lease")
            }
            try await bench.ends(lease, .success, as: .succeeded)
        },
        Case("a lease whose row belongs to another job is refused") { bench in
            let worker = try await bench.worker()
            let (one, two) = (try await bench.run(on: worker), try await bench.run(on: worker))
            let crossed = Lease(job: bench.id(), worker: worker, epoch: one.lease.epoch, row: one.lease.row)
            bench.equal(try await bench.settle(crossed, .success), .leaseLost, "the settlement of an unknown job")
            bench.equal(try await bench.state(one.record.id), .running, "the job of the row")
            try await bench.ends(two.lease, .success, as: .succeeded)
            try await bench.ends(one.lease, .success, as: .succeeded)
        },
        Case("the lease of a deleted job is refused") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.ends(claimed.lease, .success, as: .succeeded)
            try await bench.operate(.delete, claimed.record.id)
            try await bench.put(bench.job())
            bench.equal(try await bench.settle(claimed.lease, .failure), .leaseLost, "the settlement")
            bench.equal(try await bench.store.note([LeaseNote(lease: claimed.lease)]), [false], "the note")
        },
        Case("an operator's retry does not bring an old lease back") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.ends(claimed.lease, .failure, as: .failed)
            try await bench.operate(.retry(spread: .zero), claimed.record.id)
            try await bench.isFenced(claimed.lease, "after the retry")
            let again = try await bench.take(worker)
            bench.expect(again.lease.epoch > claimed.lease.epoch, "the epoch of the new run")
            try await bench.isFenced(claimed.lease, "in the new run")
        },
        Case("every write after a worker retired is refused") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.store.retire(worker)
            try await bench.isFenced(claimed.lease, "after it retired")
            let beat = try await bench.store.beat(Beat(worker: worker, held: [claimed.lease], accountedThrough: nil))
            bench.equal(beat.isKnown, false, "known")
            bench.equal(beat.lost, [claimed.lease], "lost leases")
        },
    ]
}

extension StoreBench {
    /// All writes with this lease are refused and the job stays as it is.
    func isFenced(_ lease: Lease, _ when: String) async throws {
        let before = try await record(lease.job)
        for (outcome, _) in StoreConformance.outcomes {
            equal(try await settle(lease, outcome), .leaseLost, "\(outcome) \(when)")
        }
        let note = LeaseNote(
            lease: lease,
            progress: (0.9, "late"),
            lines: [LogLine(at: now, level: "info", message: "late")],
            checkpoints: ["late": .text("late")]
        )
        equal(try await store.note([note]), [false], "a note \(when)")
        equal(try await record(lease.job), before, "the record \(when)")
    }
}
