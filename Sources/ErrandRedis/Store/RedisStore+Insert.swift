// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Stores jobs; see ``/ErrandCore/JobStore/insert(_:offer:)``.
    ///
    /// Some hundred jobs share one script; the scripts of a large call follow each other without waiting.
    public func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        try await perform { () throws(StoreError) in try await insertAll(jobs, offer: offer) }
    }

    private func insertAll(_ jobs: [NewJob], offer: ClaimOffer?) async throws(StoreError) -> [InsertAnswer] {
        var answers: [InsertAnswer] = []
        answers.reserveCapacity(jobs.count)
        var good: [Int] = []
        good.reserveCapacity(jobs.count)
        for (index, job) in jobs.enumerated() {
            if let problem = job.storeProblem {
                answers.append(.refused(StoreError(.invalid, problem)))
            } else {
                answers.append(.stored(job.id))
                good.append(index)
            }
        }
        guard !good.isEmpty else { return answers }
        let bites = bites(of: good, jobs)
        let said = try await run(RedisScripts.insert, times: bites.count) { bite, command in
            self.write(jobs, good[bites[bite]], offer: bite == 0 ? offer : nil, to: &command)
        }
        var taken: [Int] = []
        var work: Set<QueueName> = []
        var last: QueueName?
        for (bite, answer) in zip(bites, said) {
            guard answer.count == 2, let letters = answer[1].buffer, letters.readableBytes == bite.count else {
                throw StoreError.oddAnswer
            }
            let now = try Self.instant(answer[0])
            for (index, letter) in zip(good[bite], letters.readableBytesView) {
                switch letter {
                case UInt8(ascii: "c"):
                    guard let worker = offer?.worker else { throw StoreError.oddAnswer }
                    var record = JobRecord(jobs[index], at: now)
                    let lease = record.claim(by: worker, at: now)
                    answers[index] = .claimed(ClaimedJob(lease: lease, record: record))
                case UInt8(ascii: "s"):
                    if last != jobs[index].queue {
                        last = jobs[index].queue
                        work.insert(jobs[index].queue)
                    }
                case UInt8(ascii: "k"): taken.append(index)
                default: break
                }
            }
        }
        if !work.isEmpty { hub.publish(.work(work)) }
        for index in taken { answers[index] = try await collide(jobs[index]) }
        return answers
    }

    /// An enqueue whose key is taken, or seems to be.
    private func collide(_ job: NewJob) async throws(StoreError) -> InsertAnswer {
        try await decide([job.id], keys: job.unique.map { [$0.key] } ?? [], withPayload: true) {
            table throws(Missing) in
            try table.insert(job)
        }
    }

    /// The ranges of jobs that share a script: of many jobs some, so that the server stores the first while the others are
    /// written down.
    private func bites(of indices: [Int], _ jobs: [NewJob]) -> [Range<Int>] {
        var bites: [Range<Int>] = []
        let most = min(configuration.jobsPerScript, max((indices.count + 3) / 4, 100))
        var (start, bytes) = (0, 0)
        for (position, index) in indices.enumerated() {
            let size = jobs[index].payload.bytes.count
            let isFull = position - start >= most || bytes + size > configuration.bytesPerScript
            if position > start, isFull {
                bites.append(start..<position)
                (start, bytes) = (position, 0)
            }
            bytes += size
        }
        bites.append(start..<indices.count)
        return bites
    }

    private func write(_ jobs: [NewJob], _ indices: ArraySlice<Int>, offer: ClaimOffer?, to command: inout RedisCommand)
    {
        command.append(origin)
        command.append(indices.count)
        command.append(indices.reduce(0) { $0 + jobs[$1].tags.count })
        if let offer { command.append(offer.worker.bytes) } else { command.append("") }
        var scratch = ByteBuffer()
        var group: InsertGroup?
        for index in indices {
            if group?.add(jobs[index]) != true {
                group?.write(to: &command, using: &scratch)
                group = InsertGroup(jobs[index])
            }
        }
        group?.write(to: &command, using: &scratch)
        for (number, index) in indices.enumerated() {
            for tag in jobs[index].tags {
                command.append(tag)
                command.append(number + 1)
            }
        }
        guard let offer else { return }
        command.append(offer.names.count)
        command.append(offer.slots.count)
        for (name, version) in offer.names {
            command.append(name.rawValue)
            command.append(version)
        }
        for (queue, slots) in offer.slots {
            command.append(queue.rawValue)
            command.append(slots)
        }
    }
}
