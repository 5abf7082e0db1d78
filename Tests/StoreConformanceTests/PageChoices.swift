// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting

/// What a fuzzer of pages puts into a store and asks of it.
struct PageChoices {
    var generator: SeededGenerator
    let clock: ManualClock
    /// Every job that ever was.
    private(set) var ids: [JobID] = []
    private var worker: WorkerID?

    private static let names: [JobName] = ["mail", "call", "a%b_c", "é😀"]
    private static let queues: [QueueName] = [.default, "x", "'; --"]
    private static let tags = ["red", "re", "r%d", "grün", "Red"]
    private static let texts = ["{}", #"{"city":"Zürich"}"#, "100%", "\0", "", "x\u{301}", "_"]
    private static let keys = ["k", "K", "a%", "k ", "é"]

    init(generator: SeededGenerator, clock: ManualClock) {
        (self.generator, self.clock) = (generator, clock)
    }

    /// Some dozen jobs in many states.
    mutating func fill(_ store: any JobStore) async throws {
        let id = WorkerID(at: clock.now, using: &generator)
        let names = Dictionary(uniqueKeysWithValues: Self.names.map { ($0, 1) })
        let slots = Dictionary(uniqueKeysWithValues: Self.queues.map { ($0, 100) })
        _ = try await store.register(
            WorkerRegistration(id: id, host: "", pid: 1, version: "", names: names, slots: slots)
        )
        worker = id
        for _ in 0..<(generator.below(8) + 2) {
            try await add(store, count: generator.below(20))
            clock.advance(by: .milliseconds(generator.below(3000)))
            if generator.once(in: 2) { try await change(store) }
        }
    }

    /// Something happens to the jobs: new ones, old ones end, are cancelled, held or deleted.
    mutating func change(_ store: any JobStore) async throws {
        switch generator.below(5) {
        case 0: try await add(store, count: generator.below(4))
        case 1: try await work(store)
        default:
            guard !ids.isEmpty else { return }
            let actions: [Operation.Action] = [.delete, .cancel, .hold(lasting: nil), .release]
            let meant = (0...generator.below(4)).map { _ in generator.pick(ids) }
            let action = generator.pick(actions)
            _ = try await store.operate(Operation(action, on: .ids(meant), actor: "fuzz", reason: "chance"))
        }
        if generator.once(in: 3) { clock.advance(by: .milliseconds(generator.below(1000))) }
    }

    private mutating func add(_ store: any JobStore, count: Int) async throws {
        var jobs: [NewJob] = []
        for _ in 0..<count {
            // Ids of the past as well: a job may be stored long after its id was made.
            let madeAt = clock.now - .milliseconds(generator.below(5000))
            var job = NewJob(
                id: JobID(at: madeAt, using: &generator),
                name: generator.pick(Self.names),
                payload: Payload(bytes: Array(generator.pick(Self.texts).utf8)),
                queue: generator.pick(Self.queues),
                start: generator.once(in: 3) ? .after(.seconds(generator.below(20))) : .now
            )
            job.tags = Array(Set((0..<generator.below(4)).map { _ in generator.pick(Self.tags) }))
            if generator.once(in: 6) { job.unique = UniqueRule(key: generator.pick(Self.keys)) }
            jobs.append(job)
        }
        guard !jobs.isEmpty else { return }
        _ = try await store.insert(jobs, offer: nil)
        ids += jobs.map(\.id)
    }

    private mutating func work(_ store: any JobStore) async throws {
        guard let worker else { return }
        let queues = Self.queues.map { ClaimRequest.Queue(name: $0, slots: 5) }
        let names = Dictionary(uniqueKeysWithValues: Self.names.map { ($0, 1) })
        let request = ClaimRequest(worker: worker, names: names, queues: queues, limit: generator.below(8) + 1)
        let error = StoredError(type: "Oops", message: generator.pick(Self.texts))
        var settlements: [Settlement] = []
        for job in try await store.claim(request).jobs {
            switch generator.below(4) {
            case 0: settlements.append(Settlement(lease: job.lease, outcome: .succeeded(result: nil)))
            case 1:
                let outcome = Outcome.failed(.permanent, error: error, timedOut: false)
                settlements.append(Settlement(lease: job.lease, outcome: outcome))
            case 2:
                let outcome = Outcome.retry(after: .seconds(generator.below(9)), error: error, timedOut: false)
                settlements.append(Settlement(lease: job.lease, outcome: outcome))
            default: break
            }
        }
        _ = try await store.settle(settlements)
    }

    // MARK: Questions

    /// Any conditions together.
    mutating func filter() -> JobFilter {
        var filter = JobFilter()
        if generator.once(in: 3) { filter.states = some(JobState.allCases) }
        if generator.once(in: 4) { filter.names = some(Self.names + ["nobody"]) }
        if generator.once(in: 4) { filter.queues = some(Self.queues + [""]) }
        if generator.once(in: 4) { filter.tags = some(Self.tags + ["\0"]) }
        if generator.once(in: 6) { filter.ids = some(ids + [JobID(at: clock.now, using: &generator)]) }
        if generator.once(in: 5) { filter.createdFrom = instant() }
        if generator.once(in: 5) { filter.createdBefore = instant() }
        if generator.once(in: 8) {
            let error = StoredError(type: "Oops", message: generator.pick(Self.texts))
            filter.fingerprint = generator.pick([error.fingerprint(of: "mail"), "", "nothing"])
        }
        if generator.once(in: 8) { filter.uniqueKey = generator.pick(Self.keys + [""]) }
        if generator.once(in: 5) { filter.text = generator.pick(Self.texts + ["ü", "%", "city"]) }
        if generator.once(in: 5) { filter.isHeld = generator.once(in: 2) }
        return filter
    }

    private mutating func some<Value: Hashable>(_ values: [Value]) -> Set<Value> {
        Set((0..<generator.below(4)).map { _ in generator.pick(values) })
    }

    private mutating func instant() -> Timestamp {
        switch generator.below(6) {
        case 0: generator.pick([.distantFuture, Timestamp(microseconds: .min), .epoch])
        default: clock.now - .milliseconds(generator.below(20_000) - 2000)
        }
    }

    /// Where to begin: nowhere, at a job, or at an id that never was.
    mutating func start() -> JobID? {
        switch generator.below(8) {
        case 0: JobID(bytes: [UInt8](repeating: generator.pick([0, 0x7F, 0x80, 0xFF]), count: 16))
        case 1: JobID(bytes: (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
        case 2: ids.isEmpty ? nil : generator.pick(ids)
        default: nil
        }
    }

    /// A page of any size, also of sizes that make no sense.
    mutating func page(after: JobID?) -> JobPageRequest {
        let limit = generator.pick([-1, 0, 1, 2, 3, 7, 50, 500, 501, .max, .min])
        let scan = generator.once(in: 3) ? generator.pick([-1, 0, 1, 5, 40]) : 100_000
        return JobPageRequest(after: after, limit: limit, scanLimit: scan)
    }
}
