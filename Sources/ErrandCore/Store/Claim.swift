// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A job with the right to run it.
public struct ClaimedJob: Sendable, Hashable {
    /// The right to write about it.
    public var lease: Lease
    /// The job, `running`, with its payload and without further parts.
    @inlinable public var record: JobRecord {
        get { content.record }
        set { content = Content(newValue) }
    }
    // A record is large, and thousands of jobs go from hand to hand between the store and the handlers: they are moved
    // by reference, and who asks for one fact does not copy the others.
    @usableFromInline var content: Content

    @usableFromInline
    final class Content: Sendable {
        @usableFromInline let record: JobRecord

        @inlinable
        init(_ record: JobRecord) {
            self.record = record
        }
    }

    /// A claimed job.
    public init(lease: Lease, record: JobRecord) {
        self.lease = lease
        content = Content(record)
    }

    /// Whether two are the same job under the same lease, with the same facts.
    public static func == (one: Self, other: Self) -> Bool {
        one.lease == other.lease && (one.content === other.content || one.record == other.record)
    }

    /// Hashes the lease, which tells claims apart.
    public func hash(into hasher: inout Hasher) { hasher.combine(lease) }
}

/// What a worker asks for: how many jobs, from which queues, with which names.
public struct ClaimRequest: Sendable, Hashable {
    /// How the queues of one request share its limit.
    public enum Order: Sendable, Hashable {
        /// In proportion to their weights, nobody starved; see ``QueueShares``.
        case weighted
        /// The first queue that has work, always.
        case strict
    }

    /// One queue the worker serves.
    public struct Queue: Sendable, Hashable {
        /// Its name.
        public var name: QueueName
        /// The most jobs of it that the worker takes now.
        public var slots: Int
        /// Its share with ``Order/weighted``, from 1.
        public var weight: Int
        /// What ``QueueShares`` carried over from earlier claims.
        public var credit: Int

        /// A queue in a request.
        public init(name: QueueName, slots: Int, weight: Int = 1, credit: Int = 0) {
            self.name = name
            self.slots = slots
            self.weight = max(weight, 1)
            self.credit = credit
        }
    }

    /// Who asks; must be registered.
    public var worker: WorkerID
    /// The names the worker can run, each with the highest payload version it can decode. Other jobs stay.
    public var names: [JobName: Int]
    /// The queues, in the worker's order.
    public var queues: [Queue]
    /// The most jobs in the answer.
    public var limit: Int
    /// How the queues share the limit.
    public var order: Order
    /// The most due jobs that are made ready first; the rest follow in the next claim.
    public var promotionLimit: Int

    /// A request.
    public init(
        worker: WorkerID,
        names: [JobName: Int],
        queues: [Queue],
        limit: Int,
        order: Order = .weighted,
        promotionLimit: Int = 1000
    ) {
        self.worker = worker
        self.names = names
        self.queues = queues
        self.limit = limit
        self.order = order
        self.promotionLimit = promotionLimit
    }
}

/// The answer to a claim.
public struct ClaimAnswer: Sendable, Hashable {
    /// The claimed jobs, in the order in which they should start.
    public var jobs: [ClaimedJob]
    /// When the next job becomes due that nobody has to enqueue first; `nil` for none.
    public var nextDue: Timestamp?
    /// Whether more ready work was left for this worker, so that it should ask again as soon as it can.
    public var hasMore: Bool
    /// What ``QueueShares`` carried over, for the next request.
    public var credits: [QueueName: Int]
    /// Store time of the claim.
    public var at: Timestamp

    /// An answer.
    public init(
        jobs: [ClaimedJob],
        nextDue: Timestamp?,
        hasMore: Bool,
        credits: [QueueName: Int] = [:],
        at: Timestamp
    ) {
        self.jobs = jobs
        self.nextDue = nextDue
        self.hasMore = hasMore
        self.credits = credits
        self.at = at
    }
}

/// Free slots that a worker of this process offers to an insert, so that a job is stored and claimed in one
/// commit. Same row, same lease, same rescue as with a claim.
public struct ClaimOffer: Sendable, Hashable {
    /// Who takes the jobs.
    public var worker: WorkerID
    /// The names it can run, each with the highest version.
    public var names: [JobName: Int]
    /// The free slots of each queue. The store takes a slot only for a job that is ready at once, not held
    /// and not paused, and only while nothing of the same queue that the worker could run is ready before it.
    public var slots: [QueueName: Int]

    /// An offer.
    public init(worker: WorkerID, names: [JobName: Int], slots: [QueueName: Int]) {
        self.worker = worker
        self.names = names
        self.slots = slots
    }
}
