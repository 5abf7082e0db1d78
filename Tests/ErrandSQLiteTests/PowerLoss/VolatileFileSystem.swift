// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDBSQLite
import Synchronization

/// SQLite's own way to the files, with ears: what it does to a file on a ``VolatileDisk`` is told to the disk. All
/// other files of the process are left to SQLite.
///
/// Reads, locks and the shared memory of the log go to the real files, so several connections see each other as
/// ever.
// guard: the pointers are set in `init` and only read afterwards.
final class VolatileFileSystem: @unchecked Sendable {
    static let shared = VolatileFileSystem()

    private let real: UnsafeMutablePointer<sqlite3_vfs>
    private let methods: UnsafeMutablePointer<sqlite3_io_methods>
    private let disks = Mutex<[String: VolatileDisk]>([:])

    private init() {
        sqlite3_initialize()
        guard let found = sqlite3_vfs_find(nil) else { preconditionFailure("SQLite was built without a file system") }
        real = found
        methods = UnsafeMutablePointer.allocate(capacity: 1)
        methods.initialize(to: OpenFile.methods)
        let own = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        own.initialize(to: real.pointee)
        own.pointee.zName = UnsafePointer(strdup("errand-volatile"))
        own.pointee.pNext = nil
        own.pointee.szOsFile = Int32(OpenFile.headerSize) + real.pointee.szOsFile
        own.pointee.xOpen = { _, name, file, flags, outFlags in
            VolatileFileSystem.shared.open(name, file, flags, outFlags)
        }
        own.pointee.xDelete = { _, name, flushesFolder in VolatileFileSystem.shared.delete(name, flushesFolder) }
        sqlite3_vfs_register(own, 1)
    }

    func mount(_ disk: VolatileDisk) { disks.withLock { $0[disk.folder] = disk } }

    func unmount(_ disk: VolatileDisk) { disks.withLock { $0[disk.folder] = nil } }

    private func disk(of name: UnsafePointer<CChar>?) -> (disk: VolatileDisk, name: String)? {
        guard let name else { return nil }
        let path = URL(filePath: String(cString: name))
        guard let disk = disks.withLock({ $0[path.deletingLastPathComponent().path] }) else { return nil }
        return (disk, path.lastPathComponent)
    }

    private func open(
        _ name: UnsafePointer<CChar>?,
        _ file: UnsafeMutablePointer<sqlite3_file>?,
        _ flags: Int32,
        _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        guard let file, let open = real.pointee.xOpen else { return SQLITE_CANTOPEN }
        guard let (disk, short) = disk(of: name) else { return open(real, name, file, flags, outFlags) }
        file.pointee.pMethods = nil
        if disk.isCut { return SQLITE_CANTOPEN }
        let result = open(real, name, OpenFile.inner(file), flags, outFlags)
        guard result == SQLITE_OK else { return result }
        OpenFile.set(disk.opened(short, flags: flags), of: file)
        file.pointee.pMethods = UnsafePointer(methods)
        return result
    }

    private func delete(_ name: UnsafePointer<CChar>?, _ flushesFolder: Int32) -> Int32 {
        guard let delete = real.pointee.xDelete else { return SQLITE_IOERR }
        guard let (disk, short) = disk(of: name) else { return delete(real, name, flushesFolder) }
        return disk.delete(short, flushesFolder: flushesFolder != 0) { delete(real, name, 0) }
    }
}

/// The memory of an open file on a volatile disk: SQLite's pointer to the methods, the handle, then the real file.
private enum OpenFile {
    typealias Pointer = UnsafeMutablePointer<sqlite3_file>

    static let headerSize = 16

    static func inner(_ file: Pointer) -> Pointer {
        (UnsafeMutableRawPointer(file) + headerSize).assumingMemoryBound(to: sqlite3_file.self)
    }

    static func set(_ handle: VolatileDisk.Handle, of file: Pointer) {
        let pointer = Unmanaged.passRetained(handle).toOpaque()
        UnsafeMutableRawPointer(file).storeBytes(of: pointer, toByteOffset: 8, as: UnsafeMutableRawPointer.self)
    }

    private static func reference(_ file: Pointer) -> Unmanaged<VolatileDisk.Handle> {
        Unmanaged.fromOpaque(UnsafeMutableRawPointer(file).load(fromByteOffset: 8, as: UnsafeMutableRawPointer.self))
    }

    private static func handle(_ file: Pointer) -> VolatileDisk.Handle { reference(file).takeUnretainedValue() }

    private static func real(_ file: Pointer) -> sqlite3_io_methods { inner(file).pointee.pMethods.pointee }

    /// Version 2: no maps of the file into memory, whose writes nobody would see.
    static var methods: sqlite3_io_methods {
        var methods = sqlite3_io_methods()
        methods.iVersion = 2
        methods.xClose = { file in
            guard let file else { return SQLITE_IOERR }
            let result = OpenFile.real(file).xClose(OpenFile.inner(file))
            OpenFile.reference(file).release()
            return result
        }
        methods.xRead = { file, buffer, count, offset in
            guard let file else { return SQLITE_IOERR }
            return OpenFile.real(file).xRead(OpenFile.inner(file), buffer, count, offset)
        }
        methods.xWrite = { file, buffer, count, offset in
            guard let file else { return SQLITE_IOERR }
            let (handle, bytes) = (OpenFile.handle(file), UnsafeRawBufferPointer(start: buffer, count: Int(count)))
            return handle.disk.write(handle, bytes, at: Int(offset)) {
                OpenFile.real(file).xWrite(OpenFile.inner(file), buffer, count, offset)
            }
        }
        methods.xTruncate = { file, size in
            guard let file else { return SQLITE_IOERR }
            let handle = OpenFile.handle(file)
            return handle.disk.truncate(handle, to: Int(size)) {
                OpenFile.real(file).xTruncate(OpenFile.inner(file), size)
            }
        }
        methods.xSync = { file, _ in
            guard let file else { return SQLITE_IOERR }
            let handle = OpenFile.handle(file)
            return handle.disk.flush(handle)
        }
        addPlain(&methods)
        return methods
    }

    /// What a disk need not know.
    private static func addPlain(_ methods: inout sqlite3_io_methods) {
        methods.xFileSize = { OpenFile.real($0!).xFileSize(OpenFile.inner($0!), $1) }
        methods.xLock = { OpenFile.real($0!).xLock(OpenFile.inner($0!), $1) }
        methods.xUnlock = { OpenFile.real($0!).xUnlock(OpenFile.inner($0!), $1) }
        methods.xCheckReservedLock = { OpenFile.real($0!).xCheckReservedLock(OpenFile.inner($0!), $1) }
        methods.xFileControl = { file, operation, argument in
            // A hint of the coming size makes the real file longer behind the disk's back.
            if operation == SQLITE_FCNTL_SIZE_HINT { return SQLITE_OK }
            return OpenFile.real(file!).xFileControl(OpenFile.inner(file!), operation, argument)
        }
        methods.xSectorSize = { OpenFile.real($0!).xSectorSize(OpenFile.inner($0!)) }
        methods.xDeviceCharacteristics = { OpenFile.real($0!).xDeviceCharacteristics(OpenFile.inner($0!)) }
        methods.xShmMap = { OpenFile.real($0!).xShmMap(OpenFile.inner($0!), $1, $2, $3, $4) }
        methods.xShmLock = { OpenFile.real($0!).xShmLock(OpenFile.inner($0!), $1, $2, $3) }
        methods.xShmBarrier = { OpenFile.real($0!).xShmBarrier(OpenFile.inner($0!)) }
        methods.xShmUnmap = { OpenFile.real($0!).xShmUnmap(OpenFile.inner($0!), $1) }
    }
}
