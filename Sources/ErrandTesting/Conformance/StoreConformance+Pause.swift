// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let pauseCases: [Case] = [
        Case("a pause of each scope stops the claims it covers and no others") { bench in
            let worker = try await bench.worker()
            let jobs = [
                bench.job("mail", queue: "a"), bench.job("call", queue: "a"), bench.job("mail", queue: "b"),
                bench.job("call", queue: "b"),
            ]
            let stopped: [(Pause.Scope, Set<Int>)] = [
                (.everything, [0, 1, 2, 3]), (.queue("a"), [0, 1]), (.name("call"), [1, 3]), (.queue("c"), []),
            ]
            _ = try await bench.store.insert(jobs, offer: nil)
            for (scope, indices) in stopped {
                try await bench.store.setControls([.pause(scope, actor: "ada", reason: "r", lasting: nil)])
                let claimed = try await bench.claim(worker, queues: ["a", "b"]).jobs
                let left = Set(jobs.indices.filter { !indices.contains($0) }.map { jobs[$0].id })
                bench.equal(Set(claimed.map(\.record.id)), left, "claimed while \(scope) is paused")
                for job in claimed { try await bench.ends(job.lease, .released, as: .ready) }
                try await bench.store.setControls([.resume(scope, actor: "ada", reason: "r")])
                bench.equal(try await bench.store.pauses(), [], "pauses")
            }
            bench.equal(try await bench.claim(worker, queues: ["a", "b"]).jobs.count, 4, "claimed in the end")
        },
        Case("a pause ends by itself at its time") { bench in
            let worker = try await bench.worker()
            try await bench.put(bench.job())
            try await bench.store.setControls([
                .pause(.everything, actor: "ada", reason: "migration", lasting: .minutes(5))
            ])
            let pause = Pause(
                scope: .everything,
                actor: "ada",
                reason: "migration",
                since: bench.now,
                until: bench.now + .minutes(5)
            )
            bench.equal(try await bench.store.pauses(), [pause], "pauses")
            bench.clock.advance(by: .minutes(5) - .microseconds(1))
            let paused = try await bench.claim(worker)
            bench.equal(paused.jobs.count, 0, "claimed while paused")
            bench.equal(paused.hasMore, false, "more while paused")
            bench.clock.advance(by: .microseconds(1))
            bench.equal(try await bench.store.pauses(), [], "pauses after their time")
            bench.equal(try await bench.claim(worker).jobs.count, 1, "claimed after the pause")
        },
        Case("a second pause of a scope replaces the first") { bench in
            for reason in ["one", "two"] {
                try await bench.store.setControls([
                    .pause(.queue("a"), actor: "ada", reason: reason, lasting: nil),
                    .pause(.name("a"), actor: "ada", reason: reason, lasting: .hours(1)),
                ])
            }
            bench.equal(try await bench.store.pauses().map(\.reason), ["two", "two"], "the reasons")
            bench.equal(Set(try await bench.store.pauses().map(\.scope)), [.queue("a"), .name("a")], "the scopes")
        },
        Case("running jobs go on and jobs are stored during a pause") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.store.setControls([.pause(.everything, actor: "ada", reason: "", lasting: nil)])
            try await bench.put(bench.job())
            bench.equal(try await bench.store.note([LeaseNote(lease: claimed.lease)]), [true], "a note")
            let beat = Beat(worker: worker, held: [claimed.lease], accountedThrough: bench.now)
            bench.equal(try await bench.store.beat(beat), BeatAnswer(isKnown: true, at: bench.now), "a beat")
            try await bench.ends(claimed.lease, .success, as: .succeeded)
        },
        Case("resuming what is not paused does nothing, and pauses are in the audit") { bench in
            try await bench.store.setControls([.resume(.everything, actor: "ada", reason: "")])
            bench.equal(try await bench.store.audit(limit: 10), [], "the audit")
            try await bench.store.setControls([.pause(.queue("a"), actor: "ada", reason: "why", lasting: nil)])
            try await bench.store.setControls([.resume(.queue("a"), actor: "bob", reason: "done")])
            let audit = try await bench.store.audit(limit: 10)
            bench.equal(audit.map(\.action), ["resume", "pause"], "the actions, newest first")
            bench.equal(audit.map(\.actor), ["bob", "ada"], "the actors")
            bench.equal(audit.map(\.reason), ["done", "why"], "the reasons")
            bench.expect(audit.allSatisfy { $0.target.contains("a") && $0.at == bench.now }, "target and time")
        },
        Case("a hold keeps state, run time, priority and attempts, and ends by itself") { bench in
            let worker = try await bench.worker()
            for state in [JobState.waiting, .scheduled, .retrying, .ready] {
                let id = try await bench.make(state, worker: worker).id
                let before = try await bench.record(id)
                let report = try await bench.operate(.hold(lasting: .minutes(1)), id, reason: "why")
                bench.equal(report.changed, [id], "the held job")
                var wanted = before
                let hold = Hold(actor: "ada", reason: "why", since: bench.now, until: bench.now + .minutes(1))
                _ = wanted.hold(hold)
                bench.equal(try await bench.record(id), wanted, "the held record")
                bench.clock.advance(by: .seconds(59))
                _ = try await bench.store.maintain(.expire)
                bench.equal(try await bench.record(id).hold, hold, "the hold before its end")
                bench.clock.advance(by: .seconds(1))
                bench.equal(try await bench.store.maintain(.expire).affected, 1, "released holds")
                _ = wanted.release()
                bench.equal(try await bench.record(id), wanted, "the released record")
                try await bench.operate(.cancel, id)
            }
        },
    ]
}
