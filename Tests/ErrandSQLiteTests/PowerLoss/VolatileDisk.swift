// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Foundation
import GRDB
import GRDBSQLite
import Synchronization

/// A folder on a disk that forgets what was not flushed when its power is cut.
///
/// The files in the folder are what running programs see. Beside them the disk remembers what a power cut would
/// leave: the bytes of each file at its last flush, and the names in the folder at the last flush of the folder. From
/// the cut on it refuses every change, so whoever writes to it is dead.
final class VolatileDisk: Sendable {
    /// When the power goes by itself.
    enum Cut: Sendable {
        /// At the n-th write, truncation, flush or deletion.
        case call(Int)
        /// At the n-th of those that a checkpoint makes in the database file.
        case checkpoint(Int)
        /// When ``VolatileDisk/cut()`` says so.
        case never
    }

    /// What the cut interrupted.
    enum Moment: Sendable {
        case checkpoint
        case commit
        case other
    }

    /// What the cut left.
    struct Wreck: Sendable {
        var files: [String: Data]
        var moment: Moment
        var isTorn: Bool
    }

    /// An open file.
    final class Handle: Sendable {
        let disk: VolatileDisk
        fileprivate let file: Int
        fileprivate let role: Role
        /// SQLite flushes the folder with the first flush of a journal or log that it may have made.
        fileprivate let flushesFolder: Atomic<Bool>

        fileprivate init(_ disk: VolatileDisk, file: Int, role: Role, flushesFolder: Bool) {
            (self.disk, self.file, self.role) = (disk, file, role)
            self.flushesFolder = Atomic(flushesFolder)
        }
    }

    enum Role: Sendable {
        case database
        case log
        case other
    }

    private struct State {
        var files: [VolatileFile] = []
        var names: [String: Int] = [:]
        var flushedNames: [String: Int] = [:]
        var calls = 0
        var checkpointCalls = 0
        var isCheckpointing = false
        var chance: SeededGenerator
        var wreck: Wreck?
    }

    let folder: String
    private let cutAt: Cut
    private let lies: Bool
    private let state: Mutex<State>

    /// A disk in this folder, which is empty or gets `files`, flushed. One that `lies` says that it flushes and does not.
    init(folder: String, files: [String: Data] = [:], cut: Cut, lies: Bool = false, chance: SeededGenerator) throws {
        self.folder = folder
        (cutAt, self.lies) = (cut, lies)
        var state = State(chance: chance)
        for (name, content) in files {
            try content.write(to: URL(filePath: "\(folder)/\(name)"))
            state.names[name] = state.files.count
            state.files.append(VolatileFile(flushed: content))
        }
        state.flushedNames = state.names
        self.state = Mutex(state)
        VolatileFileSystem.shared.mount(self)
    }

    func unmount() { VolatileFileSystem.shared.unmount(self) }

    var isCut: Bool { state.withLock { $0.wreck != nil } }
    /// How many changes and flushes there were, and how many of them by checkpoints.
    var calls: (all: Int, checkpoints: Int) { state.withLock { ($0.calls, $0.checkpointCalls) } }

    /// What a cut leaves; the power goes now unless it is gone already.
    func cut() -> Wreck {
        state.withLock { state in
            if let wreck = state.wreck { return wreck }
            return Self.cut(&state, at: .other)
        }
    }

    /// Runs `body` if there is still power, which does not go meanwhile.
    func whilePowered(_ body: () -> Void) {
        state.withLock { if $0.wreck == nil { body() } }
    }

    // MARK: What the file system asks

    /// A file was opened, perhaps made.
    func opened(_ name: String, flags: Int32) -> Handle {
        let isLog = flags & SQLITE_OPEN_WAL != 0
        let isJournal = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL) != 0
        let file = state.withLock { state in
            if let file = state.names[name] { return file }
            state.files.append(VolatileFile())
            state.names[name] = state.files.count - 1
            return state.files.count - 1
        }
        return Handle(
            self,
            file: file,
            role: flags & SQLITE_OPEN_MAIN_DB != 0 ? .database : isLog ? .log : .other,
            flushesFolder: flags & SQLITE_OPEN_CREATE != 0 && (isLog || isJournal)
        )
    }

    func write(_ handle: Handle, _ bytes: UnsafeRawBufferPointer, at offset: Int, _ real: () -> Int32) -> Int32 {
        change(handle, { .write(offset: offset, bytes: Data(bytes)) }, .SQLITE_IOERR_WRITE, real)
    }

    func truncate(_ handle: Handle, to size: Int, _ real: () -> Int32) -> Int32 {
        change(handle, { .truncate(size) }, .SQLITE_IOERR_TRUNCATE, real)
    }

    private func change(
        _ handle: Handle,
        _ kind: () -> VolatileFile.Change.Kind,
        _ refusal: ResultCode,
        _ real: () -> Int32
    ) -> Int32 {
        state.withLock { state in
            guard state.wreck == nil else { return refusal.rawValue }
            let result = real()
            guard result == SQLITE_OK else { return result }
            let goes = count(handle.role, &state)
            state.files[handle.file].add(VolatileFile.Change(number: state.calls, kind: kind()))
            guard goes else { return result }
            _ = Self.cut(&state, at: Self.moment(handle.role, state))
            return refusal.rawValue
        }
    }

    /// Nothing is really flushed: this disk is about what the program asked for.
    func flush(_ handle: Handle) -> Int32 {
        state.withLock { state in
            guard state.wreck == nil else { return ResultCode.SQLITE_IOERR_FSYNC.rawValue }
            guard !count(handle.role, &state) else {
                _ = Self.cut(&state, at: Self.moment(handle.role, state))
                return ResultCode.SQLITE_IOERR_FSYNC.rawValue
            }
            if lies { return SQLITE_OK }
            state.files[handle.file].flush()
            if handle.role == .database { state.isCheckpointing = false }
            if handle.flushesFolder.exchange(false, ordering: .relaxed) { state.flushedNames = state.names }
            return SQLITE_OK
        }
    }

    func delete(_ name: String, flushesFolder: Bool, _ real: () -> Int32) -> Int32 {
        state.withLock { state in
            guard state.wreck == nil else { return ResultCode.SQLITE_IOERR_DELETE.rawValue }
            let result = real()
            guard result == SQLITE_OK else { return result }
            let goes = count(.other, &state)
            state.names[name] = nil
            if goes {
                _ = Self.cut(&state, at: .other)
                return ResultCode.SQLITE_IOERR_DELETE.rawValue
            }
            if flushesFolder { state.flushedNames = state.names }
            return result
        }
    }

    /// Counts a call.
    /// - Returns: Whether the power goes during it.
    private func count(_ role: Role, _ state: inout State) -> Bool {
        state.calls += 1
        // With a log, only checkpoints write to the database.
        if role == .database, state.names.keys.contains(where: { $0.hasSuffix("-wal") }) {
            state.isCheckpointing = true
            state.checkpointCalls += 1
        }
        switch cutAt {
        case .call(let number): return number == state.calls
        case .checkpoint(let number):
            return role == .database && state.isCheckpointing && number == state.checkpointCalls
        case .never: return false
        }
    }

    private static func moment(_ role: Role, _ state: State) -> Moment {
        state.isCheckpointing ? .checkpoint : role == .log ? .commit : .other
    }

    private static func cut(_ state: inout State, at moment: Moment) -> Wreck {
        let survival = survival(&state)
        var survivors = Survivors()
        var files: [String: Data] = [:]
        for name in Set(state.names.keys).union(state.flushedNames.keys).sorted() {
            var file = state.flushedNames[name]
            if let new = state.names[name] as Int??, new != file, survival != .nothing {
                if Bool.random(using: &state.chance) { file = new }
            }
            guard let file else { continue }
            files[name] = state.files[file].remains(survival, counting: &survivors, using: &state.chance)
        }
        let wreck = Wreck(files: files, moment: moment, isTorn: survivors.areTorn)
        state.wreck = wreck
        return wreck
    }

    private static func survival(_ state: inout State) -> Survival {
        switch Int.random(in: 0..<3, using: &state.chance) {
        case 0: return .nothing
        case 1:
            let first = state.files.compactMap(\.pending.first?.number).min() ?? state.calls
            return .upTo(Int.random(in: first...max(first, state.calls), using: &state.chance))
        default: return .sectors(Double.random(in: 0.1..<0.95, using: &state.chance))
        }
    }
}
