// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import Testing

@testable import ErrandSQLite

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

@Suite("The wake file of a store", .timeLimit(.minutes(3)))
struct SQLiteSignalsTests {
    private func names(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    @Test("a file that is taken for a leftover before its lock is made again")
    func startTogether() throws {
        let bench = try Bench()
        let path = bench.folder + "/a.wake"
        var rounds = 0
        let file = try #require(
            LockFile.take(path) {
                rounds += 1
                // Another store starts now and finds a file without a lock.
                if rounds < 3 { #expect(!LockFile.hasOwner(path)) }
            }
        )
        #expect(rounds == 3)
        #expect(LockFile.hasOwner(path))
        #expect(try names(in: bench.folder) == ["a.wake"])
        close(file)
        #expect(!LockFile.hasOwner(path))
        #expect(try names(in: bench.folder).isEmpty)
    }

    @Test("stores that start together find each other")
    func company() async throws {
        let bench = try Bench()
        for round in 0..<50 {
            let all = try await withThrowingTaskGroup(of: SQLiteSignals.self) { group in
                for index in 0..<4 {
                    group.addTask {
                        try #require(SQLiteSignals(folder: bench.folder, id: "\(round)-\(index)", hub: LocalHub()))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(try names(in: bench.folder).count == 4)
            for one in all { one.close() }
            #expect(try names(in: bench.folder).isEmpty)
        }
    }

    @Test("nobody who lets go of it leaves a file or an open descriptor behind")
    func leftover() throws {
        let bench = try Bench()
        let before = try openFiles(in: bench.folder)
        do {
            let signals = SQLiteSignals(folder: bench.folder, id: "a", hub: LocalHub())
            #expect(signals != nil)
            #expect(try names(in: bench.folder) == ["a.wake"])
        }
        #expect(try names(in: bench.folder).isEmpty)
        #expect(try openFiles(in: bench.folder) == before)
        #expect(SQLiteSignals(folder: bench.folder + "/nowhere", id: "a", hub: LocalHub()) == nil)
    }

    /// How many descriptors of this process lead into a folder; only Linux says so.
    private func openFiles(in folder: String) throws -> Int {
        guard let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") else { return 0 }
        let targets = files.compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
        }
        return targets.count { $0.hasPrefix(folder) }
    }
}
