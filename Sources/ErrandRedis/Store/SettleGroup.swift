// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

/// Successes that follow each other under leases of one worker and one epoch, as `settle.lua` takes them.
struct SettleGroup {
    private let worker: WorkerID
    private let epoch: Int64
    /// Which of the settlements.
    private(set) var indices: [Int]
    private var hasResults = false

    /// The groups of some of the settlements, in their order.
    static func all(_ indices: ArraySlice<Int>, of settlements: [Settlement]) -> [SettleGroup] {
        var groups: [SettleGroup] = []
        for index in indices {
            let settlement = settlements[index]
            let lease = settlement.lease
            var last = groups.count - 1
            if last < 0 || groups[last].epoch != lease.epoch || groups[last].worker != lease.worker {
                groups.append(SettleGroup(worker: lease.worker, epoch: lease.epoch, indices: []))
                last += 1
            }
            groups[last].indices.append(index)
            if case .succeeded(.some) = settlement.outcome { groups[last].hasResults = true }
        }
        return groups
    }

    func write(of settlements: [Settlement], to command: inout RedisCommand, using scratch: inout ByteBuffer) {
        scratch.clear()
        // As it stands in a head that the script can end: in its first attempt.
        scratch.writeMultipleIntegers(epoch, UInt32(1))
        scratch.writeBytes(worker.bytes)
        command.append(scratch)
        scratch.clear()
        for index in indices { scratch.write(settlements[index].lease.job) }
        command.append(scratch)
        command.append(hasResults ? indices.count : 0)
        guard hasResults else { return }
        for index in indices {
            if case .succeeded(let result?) = settlements[index].outcome {
                command.append(result.storedBytes)
            } else {
                command.append("")
            }
        }
    }
}
