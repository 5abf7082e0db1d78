// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Tells the other processes that use the same file that this one wrote, and hears them.
///
/// Each store has a file of its own in a folder beside the database and touches it after a commit that matters;
/// each watches the folder and does not mind its own file. Their presence also says whether there is anybody to
/// tell: a process that is alone writes and wakes nothing. A hint only; whoever waits also polls.
final class SQLiteSignals: Sendable {
    private struct State {
        /// The files of other stores.
        var others: Set<String> = []
        var isStopped = false
    }

    private let folder: String
    private let name: String
    private let hub: LocalHub
    private let state = Mutex(State())
    /// The own file, locked as long as the store is open, so that others can tell a leftover.
    private let file: Int32
    /// What the watching thread reads; closing the other end stops it.
    private let stop: (read: Int32, write: Int32)

    private static let suffix = ".wake"

    /// Makes the own file and starts to watch; `nil` when the folder does not let us.
    init?(folder: String, id: String, hub: LocalHub) {
        self.folder = folder
        self.hub = hub
        name = id + Self.suffix
        var ends: [Int32] = [-1, -1]
        file = open("\(folder)/\(name)", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { return nil }
        guard flock(file, LOCK_EX | LOCK_NB) == 0, pipe(&ends) == 0 else {
            closeFile(file)
            return nil
        }
        stop = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        guard startWatching() else {
            remove()
            return nil
        }
        scan()
    }

    /// Whether another open store uses the same file, as far as is known.
    var hasCompany: Bool { state.withLock { !$0.others.isEmpty } }

    /// Tells the others, if there are any.
    func touch() {
        // The lock is held over the write so that `close` cannot hand the descriptor to somebody else.
        state.withLock { state in
            guard !state.isStopped, !state.others.isEmpty else { return }
            var byte: UInt8 = 1
            _ = pwrite(file, &byte, 1, 0)
        }
    }

    /// Ends the watch and removes the own file.
    func close() {
        let isFirst = state.withLock { state in
            defer { state.isStopped = true }
            return !state.isStopped
        }
        if isFirst { remove() }
    }

    private func remove() {
        unlink("\(folder)/\(name)")
        closeFile(file)
        closeFile(stop.write)
    }

    /// Looks who is there; removes what the dead left.
    private func scan() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for other in names where other.hasSuffix(Self.suffix) && other != name {
            let path = "\(folder)/\(other)"
            let file = open(path, O_RDWR | O_CLOEXEC)
            guard file >= 0 else { continue }
            if flock(file, LOCK_EX | LOCK_NB) == 0 {
                unlink(path)
            } else {
                _ = state.withLock { $0.others.insert(other) }
            }
            closeFile(file)
        }
    }

    private func appeared(_ other: String) {
        guard other.hasSuffix(Self.suffix), other != name else { return }
        _ = state.withLock { $0.others.insert(other) }
    }

    private func disappeared(_ other: String) {
        _ = state.withLock { $0.others.remove(other) }
    }

    private func wrote(_ other: String) {
        guard other.hasSuffix(Self.suffix), other != name else { return }
        let isOpen = state.withLock { state in
            state.others.insert(other)
            return !state.isStopped
        }
        if isOpen { hub.publish(.elsewhere) }
    }
}

/// `close` under a name that the method of the class does not hide.
private func closeFile(_ file: Int32) { close(file) }

#if os(Linux)
extension SQLiteSignals {
    private func startWatching() -> Bool {
        let watch = inotify_init1(Int32(IN_CLOEXEC))
        guard watch >= 0 else { return false }
        let events = UInt32(IN_MODIFY | IN_CREATE | IN_DELETE)
        guard inotify_add_watch(watch, folder, events) >= 0 else {
            closeFile(watch)
            return false
        }
        let stop = stop.read
        return OSThread.start(named: "errand-watch") { [weak self] in
            Self.readEvents(of: watch, until: stop) { mask, name in
                guard let self else { return }
                if mask & UInt32(IN_CREATE) != 0 { self.appeared(name) }
                if mask & UInt32(IN_DELETE) != 0 { self.disappeared(name) }
                if mask & UInt32(IN_MODIFY) != 0 { self.wrote(name) }
                if mask & UInt32(IN_Q_OVERFLOW) != 0 { self.hub.publish(.elsewhere) }
            }
        }
    }

    private static func readEvents(of watch: Int32, until stop: Int32, _ body: (UInt32, String) -> Void) {
        defer {
            closeFile(watch)
            closeFile(stop)
        }
        let size = 64 << 10
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: MemoryLayout<inotify_event>.alignment)
        defer { buffer.deallocate() }
        while true {
            var polled = [
                pollfd(fd: watch, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polled, 2, -1) >= 0 || errno == EINTR else { return }
            if polled[1].revents != 0 { return }
            guard polled[0].revents != 0 else { continue }
            let count = read(watch, buffer, size)
            guard count > 0 else { return }
            var offset = 0
            while offset + MemoryLayout<inotify_event>.size <= count {
                let event = buffer.load(fromByteOffset: offset, as: inotify_event.self)
                let start = buffer + offset + MemoryLayout<inotify_event>.size
                let name = event.len > 0 ? String(cString: start.assumingMemoryBound(to: CChar.self)) : ""
                body(event.mask, name)
                offset += MemoryLayout<inotify_event>.size + Int(event.len)
            }
        }
    }
}
#else
extension SQLiteSignals {
    /// A vnode source tells that a folder changed, not which file in it was written: the folder is looked at again,
    /// and the files of the others are watched one by one.
    private func startWatching() -> Bool {
        let folderFile = open(folder, O_EVTONLY | O_CLOEXEC)
        guard folderFile >= 0 else { return false }
        let watcher = FolderWatcher(folder: folder, own: name, suffix: Self.suffix) { [weak self] event in
            switch event {
            case .appeared(let other): self?.appeared(other)
            case .disappeared(let other): self?.disappeared(other)
            case .wrote(let other): self?.wrote(other)
            }
        }
        watcher.start(folderFile: folderFile, stop: stop.read)
        return true
    }
}

/// Watches a folder and the files in it on a queue of its own; everything here runs on that queue.
// guard: its serial queue.
private final class FolderWatcher: @unchecked Sendable {
    enum Event {
        case appeared(String)
        case disappeared(String)
        case wrote(String)
    }

    private let folder: String
    private let own: String
    private let suffix: String
    private let body: @Sendable (Event) -> Void
    private let queue = DispatchQueue(label: "errand-sqlite-watch")
    private var sources: [String: any DispatchSourceFileSystemObject] = [:]
    private var folderSource: (any DispatchSourceFileSystemObject)?
    private var stopSource: (any DispatchSourceRead)?

    init(folder: String, own: String, suffix: String, body: @escaping @Sendable (Event) -> Void) {
        self.folder = folder
        self.own = own
        self.suffix = suffix
        self.body = body
    }

    func start(folderFile: Int32, stop: Int32) {
        queue.async { [self] in
            let source = DispatchSource.makeFileSystemObjectSource(
                fileDescriptor: folderFile,
                eventMask: .write,
                queue: queue
            )
            source.setEventHandler { self.look() }
            source.setCancelHandler { closeFile(folderFile) }
            source.resume()
            folderSource = source
            let end = DispatchSource.makeReadSource(fileDescriptor: stop, queue: queue)
            end.setEventHandler { self.finish() }
            end.setCancelHandler { closeFile(stop) }
            end.resume()
            stopSource = end
            look()
        }
    }

    private func look() {
        let names = Set((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
        for name in sources.keys where !names.contains(name) {
            sources.removeValue(forKey: name)?.cancel()
            body(.disappeared(name))
        }
        for name in names where name.hasSuffix(suffix) && name != own && sources[name] == nil {
            let file = open("\(folder)/\(name)", O_EVTONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            let source = DispatchSource.makeFileSystemObjectSource(
                fileDescriptor: file,
                eventMask: .write,
                queue: queue
            )
            source.setEventHandler { self.body(.wrote(name)) }
            source.setCancelHandler { closeFile(file) }
            source.resume()
            sources[name] = source
            body(.appeared(name))
        }
    }

    private func finish() {
        for source in sources.values { source.cancel() }
        sources.removeAll()
        folderSource?.cancel()
        stopSource?.cancel()
        (folderSource, stopSource) = (nil, nil)
    }
}
#endif
