// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let operateCases: [Case] = [
        Case("a retry of a finished job starts a new run with a clean count and keeps the history") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(bench.job { $0.retry = .none }, on: worker)
            try await bench.ends(claimed.lease, .again(after: .zero), as: .failed)
            bench.clock.advance(by: .hours(1))
            try await bench.operate(.retry(spread: .zero), claimed.record.id)
            let record = try await bench.record(claimed.record.id)
            bench.equal(record.state, .ready, "the state")
            bench.equal([record.run, record.attempt, record.failures], [2, 0, 0], "run, attempt, failures")
            bench.equal(record.attempts.count, 1, "kept attempts")
            bench.equal(record.runAt, bench.now, "the run time")
            bench.equal(record.finishedAt, nil, "the end")
            let again = try await bench.take(worker)
            try await bench.ends(again.lease, .success, as: .succeeded)
            let endings = try await bench.record(claimed.record.id).attempts
                .map { "\($0.run) \($0.number) \($0.ending)" }
            bench.equal(endings, ["1 1 failed", "2 1 succeeded"], "the attempts of both runs")
        },
        Case("a retry makes a delayed or retrying job due at once") { bench in
            let worker = try await bench.worker()
            for state in [JobState.scheduled, .retrying] {
                let id = try await bench.make(state, worker: worker).id
                try await bench.operate(.retry(spread: .zero), id)
                bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [id], "claimed after \(state)")
            }
        },
        Case("an edit changes what it names, raises the revision, and decides the next claim") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job())
            var wanted = try await bench.record(id)
            let edits = [
                JobEdit(payload: .text("new")), JobEdit(queue: "other"), JobEdit(priority: .urgent),
                JobEdit(start: .after(.hours(1))), JobEdit(maxAttempts: 7), JobEdit(tags: ["x"]), JobEdit(start: .now),
                JobEdit(payload: Payload(bytes: [1], format: .init(rawValue: "raw"), version: 2), tags: []),
            ]
            for edit in edits {
                bench.equal(try await bench.operate(.edit(edit), id).changed, [id], "the report")
                _ = wanted.edit(edit, at: bench.now)
                bench.equal(try await bench.record(id), wanted, "the record after \(edit)")
            }
            bench.equal(try await bench.claim(worker, names: ["mail": 9]).jobs.count, 0, "claimed from the old queue")
            bench.equal(try await bench.claim(worker, queues: ["other"]).jobs.count, 0, "claimed with the old version")
            let claimed = try await bench.claim(worker, names: ["mail": 2], queues: ["other"]).jobs
            bench.equal(claimed.map(\.record.id), [id], "claimed from the new queue")
            let counts = try await bench.store.counts()
            bench.equal(counts.count(queue: .default), 0, "jobs of the old queue")
            bench.equal(counts.count(.running, queue: "other"), 1, "jobs of the new queue")
        },
        Case("an edit that insists on a revision is refused when the job changed") { bench in
            let id = try await bench.put(bench.job())
            try await bench.operate(.edit(JobEdit(priority: 1, expectedRevision: 1)), id)
            let before = try await bench.record(id)
            for revision in [1, 3, 0] {
                let edit = JobEdit(priority: 2, expectedRevision: revision)
                for action in [Operation.Action.edit(edit), .editAndRetry(edit)] {
                    let report = try await bench.operate(action, id)
                    bench.equal(Array(report.refused.keys), [id], "refused at \(revision)")
                    bench.equal(try await bench.record(id), before, "the record")
                }
            }
            bench.equal(
                try await bench.operate(.edit(JobEdit(priority: 2, expectedRevision: 2)), id).changed,
                [id],
                "the edit with the right revision"
            )
        },
        Case("an edit to values that cannot be stored is refused") { bench in
            let id = try await bench.put(bench.job())
            let before = try await bench.record(id)
            let edits = [
                JobEdit(queue: ""), JobEdit(tags: ["\u{1}"]), JobEdit(tags: Array(repeating: "t", count: 21)),
                JobEdit(payload: Payload(bytes: [], version: 0)),
            ]
            for edit in edits {
                bench.equal(try await bench.operate(.edit(edit), id).changed, [], "the report of \(edit)")
                bench.equal(try await bench.record(id), before, "the record")
            }
        },
        Case("edit and retry happen both or neither") { bench in
            let worker = try await bench.worker()
            let failed = try await bench.make(.failed, worker: worker).id
            let edit = JobEdit(payload: .text("fixed"))
            bench.equal(try await bench.operate(.editAndRetry(edit), failed).changed, [failed], "the report")
            let claimed = try await bench.take(worker)
            bench.equal(claimed.record.payload, .text("fixed"), "the payload")
            bench.equal(claimed.record.run, 2, "the run")
            let waiting = try await bench.make(.waiting, worker: worker).id
            let before = try await bench.record(waiting)
            bench.equal(
                try await bench.operate(.editAndRetry(edit), waiting).changed,
                [],
                "the report of a waiting job"
            )
            bench.equal(try await bench.record(waiting), before, "the waiting job")
        },
        Case("a deleted job and all its parts are gone, and its id can be stored again") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            let line = LogLine(at: bench.now, level: "info", message: "x")
            _ = try await bench.store.note([LeaseNote(lease: claimed.lease, lines: [line])])
            try await bench.ends(claimed.lease, .again(after: .zero), as: .ready)
            try await bench.ends(try await bench.take(worker).lease, .succeeded(result: .text("x")), as: .succeeded)
            try await bench.operate(.delete, claimed.record.id)
            bench.equal(try await bench.state(claimed.record.id), nil, "the state")
            bench.equal(try await bench.store.counts().rows, [], "the counts")
            bench.equal(try await bench.all(), [], "the list")
            var again = bench.job()
            again.id = claimed.record.id
            try await bench.put(again)
            let record = try await bench.record(again.id)
            bench.equal([record.attempts.count, record.log.count, record.checkpoints.count], [0, 0, 0], "old parts")
            bench.equal(record.result, nil, "the old result")
            bench.equal(try await bench.all().map(\.id), [again.id], "the list")
        },
        Case("a cancel before the start means that the job never runs") { bench in
            let worker = try await bench.worker()
            for state in [JobState.waiting, .scheduled, .retrying, .ready] {
                let id = try await bench.make(state, worker: worker).id
                bench.equal(try await bench.operate(.cancel, id).changed, [id], "the report")
                bench.equal(try await bench.operate(.cancel, id).unchanged, 1, "the repeat")
                bench.equal(try await bench.record(id).finishedAt, bench.now, "the end")
                bench.clock.advance(by: .hours(2))
                bench.equal(try await bench.claim(worker).jobs.count, 0, "claimed after the cancel")
            }
        },
        Case("asking a running job to stop twice keeps the first request") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.operate(.cancel, claimed.record.id, reason: "first")
            bench.equal(
                try await bench.operate(.cancel, claimed.record.id, reason: "second").unchanged,
                1,
                "the repeat"
            )
            bench.equal(try await bench.record(claimed.record.id).cancelRequest?.reason, "first", "the reason")
        },
    ]

    static let bulkCases: [Case] = [
        Case("an operation by ids keeps their order and says which are not there") { bench in
            let ids = [
                try await bench.put(bench.job()), try await bench.put(bench.job()), try await bench.put(bench.job()),
            ]
            let unknown = bench.id()
            let operation = Operation(
                .cancel,
                on: .ids([ids[2], unknown, ids[0], ids[2], ids[1]]),
                actor: "ada",
                reason: "r"
            )
            let report = try await bench.store.operate(operation)
            bench.equal(report.changed, [ids[2], ids[0], ids[1]], "the changed jobs")
            bench.equal(Array(report.refused.keys), [unknown], "the refused jobs")
            bench.equal(report.next, nil, "where to go on")
        },
        Case("an operation by filter goes on in bites until all are seen, each once") { bench in
            var ids: [JobID] = []
            for index in 0..<25 { ids.append(try await bench.put(bench.job { $0.tags = index < 20 ? ["x"] : ["y"] })) }
            var changed: [JobID] = []
            var after: JobID?
            var calls = 0
            repeat {
                let operation = Operation(
                    .cancel,
                    on: .filter(JobFilter(tags: ["x"]), after: after),
                    actor: "ada",
                    reason: "r",
                    limit: 7
                )
                let report = try await bench.store.operate(operation)
                bench.expect(report.changed.count <= 7, "changed \(report.changed.count) of at most seven")
                changed += report.changed
                after = report.next
                calls += 1
            } while after != nil && calls < 50
            bench.equal(changed, ids.prefix(20).sorted(by: >), "the changed jobs, newest first")
            bench.equal(try await bench.store.counts().count(.ready), 5, "jobs left alone")
        },
        Case("a filter's fence leaves jobs alone that came later") { bench in
            let old = try await bench.put(bench.job())
            bench.clock.advance(by: .seconds(1))
            let fence = bench.now
            let new = try await bench.put(bench.job())
            let selection = Operation.Selection.filter(JobFilter(createdBefore: fence), after: nil)
            let report = try await bench.store.operate(Operation(.delete, on: selection, actor: "ada", reason: "r"))
            bench.equal(report.changed, [old], "the deleted jobs")
            bench.equal(try await bench.state(new), .ready, "the new job")
        },
        Case("a dry run says the same as the real run and changes nothing") { bench in
            let worker = try await bench.worker()
            var ids: [JobID] = []
            for state in [JobState.running, .scheduled, .retrying, .failed, .cancelled, .succeeded, .ready] {
                ids.append(try await bench.make(state, worker: worker).id)
            }
            let actions: [Operation.Action] = [
                .cancel, .retry(spread: .zero), .edit(JobEdit(priority: 1)), .hold(lasting: nil), .release, .delete,
            ]
            for action in actions {
                let before = try await bench.store.jobs(ids, parts: .all)
                let audit = try await bench.store.audit(limit: 100)
                var operation = Operation(action, on: .ids(ids), actor: "ada", reason: "r", isDryRun: true)
                let dry = try await bench.store.operate(operation)
                bench.equal(try await bench.store.jobs(ids, parts: .all), before, "the jobs after \(action)")
                bench.equal(try await bench.store.audit(limit: 100), audit, "the audit after \(action)")
                operation.isDryRun = false
                bench.equal(try await bench.store.operate(operation), dry, "the real run of \(action)")
            }
        },
        Case("repeating an operation with its idempotency key answers the first report and changes nothing") { bench in
            let id = try await bench.put(bench.job())
            let operation = Operation(
                .edit(JobEdit(priority: 9)),
                on: .ids([id, bench.id()]),
                actor: "ada",
                reason: "r",
                idempotencyKey: "once"
            )
            let first = try await bench.store.operate(operation)
            let record = try await bench.record(id)
            bench.clock.advance(by: .minutes(1))
            bench.equal(try await bench.store.operate(operation), first, "the repeat")
            bench.equal(try await bench.record(id), record, "the record")
            bench.equal(try await bench.store.audit(limit: 9).count, 1, "audit lines")
            var other = operation
            other.idempotencyKey = "twice"
            bench.equal(try await bench.store.operate(other).changed, [id], "another key")
            bench.equal(try await bench.record(id).revision, 3, "the revision")
        },
        Case("many retries are spread evenly over the time that was given") { bench in
            let worker = try await bench.worker()
            _ = try await bench.store.insert((0..<10).map { _ in bench.job() }, offer: nil)
            for claimed in try await bench.claim(worker).jobs {
                try await bench.ends(claimed.lease, .failure, as: .failed)
            }
            let operation = Operation(
                .retry(spread: .minutes(10)),
                on: .filter(JobFilter(states: [.failed]), after: nil),
                actor: "ada",
                reason: "r"
            )
            let report = try await bench.store.operate(operation)
            bench.equal(report.changed.count, 10, "retried jobs")
            let waits = try await bench.all().map { $0.runAt - bench.now }.sorted()
            bench.equal(waits, (0..<10).map { .minutes($0) }, "the waits")
            bench.equal(try await bench.claim(worker).jobs.count, 1, "jobs to run at once")
        },
        Case("every operation leaves an audit line with who, what, why and how many") { bench in
            let ids = [try await bench.put(bench.job()), try await bench.put(bench.job())]
            let operation = Operation(.cancel, on: .ids(ids), actor: "ada", reason: "because")
            _ = try await bench.store.operate(operation)
            bench.clock.advance(by: .seconds(1))
            _ = try await bench.store.operate(Operation(.delete, on: .ids([ids[0]]), actor: "bob", reason: "clean"))
            let audit = try await bench.store.audit(limit: 10)
            bench.equal(audit.map(\.actor), ["bob", "ada"], "the actors, newest first")
            bench.equal(audit.map(\.action), ["delete", "cancel"], "the actions")
            bench.equal(audit.map(\.reason), ["clean", "because"], "the reasons")
            bench.equal(audit.map(\.changed), [1, 2], "the changed jobs")
            bench.equal(audit.map(\.at), [bench.now, bench.now - .seconds(1)], "the times")
            bench.equal(try await bench.store.audit(limit: 1).map(\.actor), ["bob"], "the newest line")
        },
        Case("of two finished jobs with one key a bulk retry brings one back") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k")
            var ids: [JobID] = []
            for _ in 0..<2 {
                let claimed = try await bench.run(bench.job(unique: rule), on: worker)
                try await bench.ends(claimed.lease, .failure, as: .failed)
                ids.append(claimed.record.id)
            }
            let operation = Operation(.retry(spread: .zero), on: .ids(ids), actor: "ada", reason: "r")
            let report = try await bench.store.operate(operation)
            bench.equal(report.changed, [ids[0]], "retried jobs")
            bench.equal(Array(report.refused.keys), [ids[1]], "refused jobs")
        },
    ]
}
