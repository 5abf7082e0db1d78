// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// The arrays that `insert_2` takes; one in which every job says the usual is NULL and costs nothing.
struct PostgresInsert {
    private let jobs: [NewJob]
    private let lanes: [Int64]
    private let base: Int64?
    private let places: [Int64]?
    private let isWaiting: Bool

    /// Larger ones do not fit a message of the protocol together with others; the client's own limit is far below.
    private static let largestPayload = 256 << 20

    /// - Parameter lanes: Knows the lane of every job.
    init(
        _ jobs: [NewJob],
        lanes: PostgresLanes,
        base: Int64? = nil,
        places: [Int64]? = nil,
        isWaiting: Bool = false
    ) {
        self.init(
            jobs,
            lanes: lanes.numbers(of: jobs),
            base: base,
            places: places,
            isWaiting: isWaiting
        )
    }

    init(_ jobs: [NewJob], lanes: [Int64], base: Int64?, places: [Int64]?, isWaiting: Bool) {
        self.jobs = jobs
        self.lanes = lanes
        self.base = base
        self.places = places
        self.isWaiting = isWaiting
    }

    /// What is wrong with a job, by the rules of all engines and those of PostgreSQL's texts.
    static func problem(with job: NewJob) -> String? {
        if let problem = job.problem(payloadLimit: largestPayload) { return problem }
        if job.payload.format.rawValue.utf8.contains(0) {
            return "the payload format of '\(job.name)' holds NUL, which PostgreSQL cannot store; remove it"
        }
        return nil
    }

    func values(at moment: PostgresValue) -> [PostgresValue] {
        [
            moment, .int(base), .bool(isWaiting), .uuids(jobs.map(\.id)), .ints(places), .ints(lanes),
            numbers { $0.priority == .normal ? nil : Int64($0.priority.level) },
            numbers { if case .after(let delay) = $0.start { delay.wholeMicroseconds } else { nil } },
            numbers { if case .at(let instant) = $0.start { instant.microseconds } else { nil } },
            numbers { $0.startWithin?.wholeMicroseconds }, numbers { $0.deadline?.wholeMicroseconds },
            numbers { $0.timeout?.wholeMicroseconds },
            numbers { $0.resultTTL == NewJob.defaultResultTTL ? nil : $0.resultTTL.wholeMicroseconds },
            numbers { $0.crashesAllowed == 2 ? nil : Int64($0.crashesAllowed) }, texts { $0.retry.stored },
            texts { $0.tags.stored }, texts { $0.headers.stored }, texts { $0.trace.stored },
            numbers { $0.unique?.scope.stored }, texts { $0.unique?.key },
            numbers { $0.unique?.scope.ttl?.wholeMicroseconds }, numbers { $0.unique?.conflict.stored },
            texts { $0.payload.format.stored }, .blobs(jobs.map(\.payload.bytes)),
        ] + tags
    }

    private var tags: [PostgresValue] {
        let pairs = jobs.flatMap { job in job.tags.map { (job.id, $0) } }
        return pairs.isEmpty ? [.uuids(nil), .texts(nil)] : [.uuids(pairs.map(\.0)), .texts(pairs.map(\.1))]
    }

    private func numbers(_ value: (NewJob) -> Int64?) -> PostgresValue {
        guard jobs.contains(where: { value($0) != nil }) else { return .ints(nil) }
        return .ints(jobs.map(value))
    }

    private func texts(_ value: (NewJob) -> String?) -> PostgresValue {
        guard jobs.contains(where: { value($0) != nil }) else { return .texts(nil) }
        return .texts(jobs.map(value))
    }
}
