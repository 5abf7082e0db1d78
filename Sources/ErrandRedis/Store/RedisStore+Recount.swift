// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Compares the kept counts with the rows and repairs them.
    ///
    /// All rows are looked at, a piece at a time; only when nothing was written meanwhile is the sum that of one moment.
    func recount() async throws(StoreError) -> MaintenanceReport {
        for _ in 0..<3 {
            let before = try await changes()
            var exact: [String: [Int]] = [:]
            var after: JobID?
            while true {
                let rows = try await scan("i", after: after, count: 500, parts: []).jobs
                for row in rows {
                    guard let head = Optional(row.head), head.readableBytes > 131,
                        let state = head.getInteger(at: head.readerIndex, as: UInt8.self), state < 10,
                        let length = head.getInteger(at: head.readerIndex + JobHead.kindPlace, as: UInt16.self),
                        let kind = head.getString(at: head.readerIndex + JobHead.kindPlace + 2, length: Int(length))
                    else { continue }
                    exact[kind, default: [Int](repeating: 0, count: 10)][Int(state)] += 1
                }
                after = rows.last?.id
                if rows.count < 500 { break }
            }
            let kept = try await tallies().rows
            guard try await changes() == before else { continue }
            return try await repair(kept, to: exact)
        }
        throw StoreError(.unavailable, "the store is written all the time; recount when less is going on")
    }

    /// The number that every script that writes raises.
    private func changes() async throws(StoreError) -> Int64 {
        let words = ["GET", "V"].map { ByteBuffer(string: $0) }
        return try await fetch([words]).answers.first?.integer ?? 0
    }

    private func repair(_ kept: [JobCount], to exact: [String: [Int]]) async throws(StoreError) -> MaintenanceReport {
        var wrong: [String: [Int]] = exact
        for row in kept {
            let kind = "\(row.queue.rawValue)\0\(row.name.rawValue)"
            wrong[kind, default: [Int](repeating: 0, count: 10)][row.state.rawValue] -= row.count
        }
        var report = MaintenanceReport()
        var writes: [RedisWrite] = []
        for (kind, differences) in wrong {
            for (state, difference) in differences.enumerated() where difference != 0 {
                report.affected += 1
                writes.append(
                    RedisWrite(["T", kind, String(state), String(difference)].map { ByteBuffer(string: $0) })
                )
            }
        }
        if !writes.isEmpty { _ = try await write(writes, conditions: []) }
        return report
    }
}
