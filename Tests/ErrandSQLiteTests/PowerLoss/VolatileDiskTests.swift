// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Foundation
import GRDBSQLite
import Testing

@Suite("The disk of the power cuts", .timeLimit(.minutes(1)))
struct VolatileDiskTests {
    private let journal = SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_JOURNAL
    private let database = SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB

    /// What is left after a cut that keeps nothing, one that keeps everything before some write, and one that keeps
    /// any sectors, each by the first seed that leads to it.
    private func wrecks(_ work: (VolatileDisk) -> Void) throws -> [VolatileDisk.Wreck] {
        try (0..<64)
            .map { seed in
                let disk = try VolatileDisk(
                    folder: "/nowhere-\(UUID().uuidString)",
                    cut: .never,
                    chance: SeededGenerator(seed: UInt64(seed))
                )
                defer { disk.unmount() }
                work(disk)
                return disk.cut()
            }
    }

    private func write(_ byte: UInt8, _ count: Int, at offset: Int, to handle: VolatileDisk.Handle) {
        let bytes = [UInt8](repeating: byte, count: count)
        let result = bytes.withUnsafeBytes { handle.disk.write(handle, $0, at: offset) { SQLITE_OK } }
        #expect(result == SQLITE_OK)
    }

    @Test("what was flushed is there, whatever else is")
    func flushed() throws {
        let all = try wrecks { disk in
            let file = disk.opened("a-journal", flags: journal)
            write(1, 1000, at: 0, to: file)
            #expect(disk.flush(file) == SQLITE_OK)
            write(2, 1000, at: 1000, to: file)
        }
        for wreck in all {
            let content = try #require(wreck.files["a-journal"])
            #expect(content.prefix(1000) == Data(repeating: 1, count: 1000))
            #expect(content.dropFirst(1000).allSatisfy { $0 == 0 || $0 == 2 })
        }
        #expect(all.contains { $0.files["a-journal"]?.count == 1000 })
        #expect(all.contains { $0.files["a-journal"]?.last == 2 })
    }

    @Test("an unflushed write survives wholly, not at all, or in sectors of 512 bytes")
    func torn() throws {
        let all = try wrecks { disk in
            let file = disk.opened("a-journal", flags: journal)
            write(1, 2048, at: 0, to: file)
            #expect(disk.flush(file) == SQLITE_OK)
            write(2, 1024, at: 256, to: file)
        }
        var seen: Set<[UInt8]> = []
        for wreck in all {
            let content = [UInt8](try #require(wreck.files["a-journal"]))
            #expect(content.count == 2048)
            for part in [0..<256, 256..<512, 512..<1024, 1024..<1280, 1280..<2048] {
                #expect(Set(content[part]).count == 1)
            }
            #expect(content[0] == 1 && content[2047] == 1)
            seen.insert([content[256], content[512], content[1024]])
            #expect(wreck.isTorn == ([1, 2] == Set([content[256], content[512], content[1024]]).sorted()))
        }
        #expect(seen.isSuperset(of: [[1, 1, 1], [2, 2, 2], [1, 2, 1], [2, 1, 1]]))
    }

    @Test("a file whose name was not flushed may be gone, and one that was deleted may be back")
    func names() throws {
        let all = try wrecks { disk in
            let file = disk.opened("a", flags: database)
            write(1, 10, at: 0, to: file)
            #expect(disk.flush(file) == SQLITE_OK)
        }
        // The flush of a database is not one of its folder.
        #expect(all.contains { $0.files.isEmpty })
        #expect(all.contains { $0.files["a"]?.count == 10 })
        let deleted = try wrecks { disk in
            let file = disk.opened("a", flags: database)
            write(1, 10, at: 0, to: file)
            #expect(disk.flush(file) == SQLITE_OK)
            let other = disk.opened("a-journal", flags: journal)
            #expect(disk.flush(other) == SQLITE_OK)
            #expect(disk.delete("a-journal", flushesFolder: false) { SQLITE_OK } == SQLITE_OK)
        }
        #expect(deleted.allSatisfy { $0.files["a"]?.count == 10 })
        #expect(deleted.contains { $0.files["a-journal"] != nil })
        #expect(deleted.contains { $0.files["a-journal"] == nil })
    }

    @Test("after the cut everything is refused and nothing changes any more")
    func dead() throws {
        let disk = try VolatileDisk(folder: "/nowhere", cut: .call(2), chance: SeededGenerator(seed: 1))
        defer { disk.unmount() }
        let file = disk.opened("a", flags: database)
        write(1, 10, at: 0, to: file)
        #expect(disk.flush(file) != SQLITE_OK)
        #expect(disk.isCut)
        let wreck = disk.cut()
        #expect(disk.truncate(file, to: 0) { SQLITE_OK } != SQLITE_OK)
        #expect(disk.flush(file) != SQLITE_OK)
        #expect(disk.delete("a", flushesFolder: true) { SQLITE_OK } != SQLITE_OK)
        disk.whilePowered { Issue.record("there is no power") }
        #expect(disk.cut().files == wreck.files)
    }
}
