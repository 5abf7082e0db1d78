// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#if os(Linux)
import ErrandCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The one inotify instance of this process and the thread that reads it.
///
/// Shared, because a user has few instances (128 by default, inotify(7)) and many watches. The thread lives as long
/// as the process and sleeps in `read` when nothing happens.
final class InotifyThread: Sendable {
    static let shared = InotifyThread()

    typealias Listener = @Sendable (FolderWatch.Event) -> Void

    /// Which listener of which watch.
    struct Key: Hashable {
        fileprivate let watch: Int32
        fileprivate let number: UInt64
    }

    private struct State {
        /// The instance, once there is one.
        var instance: Int32?
        var listeners: [Int32: [UInt64: Listener]] = [:]
        var lastNumber: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Starts to tell `listener` what happens in `folder`; `nil` when the system refuses.
    func add(_ folder: String, _ listener: @escaping Listener) -> Key? {
        state.withLock { state in
            guard let instance = state.instance ?? start(&state) else { return nil }
            // The same folder again gives the same watch.
            let watch = inotify_add_watch(instance, folder, UInt32(IN_MODIFY | IN_CREATE | IN_DELETE))
            guard watch >= 0 else { return nil }
            state.lastNumber += 1
            state.listeners[watch, default: [:]][state.lastNumber] = listener
            return Key(watch: watch, number: state.lastNumber)
        }
    }

    func remove(_ key: Key) {
        state.withLock { state in
            state.listeners[key.watch]?[key.number] = nil
            guard state.listeners[key.watch]?.isEmpty == true else { return }
            state.listeners[key.watch] = nil
            // Fails when the folder is gone and its watch with it.
            if let instance = state.instance { _ = inotify_rm_watch(instance, key.watch) }
        }
    }

    private func start(_ state: inout State) -> Int32? {
        let instance = inotify_init1(Int32(IN_CLOEXEC))
        guard instance >= 0 else { return nil }
        guard OSThread.start(named: "errand-watch", { [self] in listen(to: instance) }) else {
            close(instance)
            return nil
        }
        state.instance = instance
        return instance
    }

    private func listen(to instance: Int32) {
        let size = 64 << 10
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: MemoryLayout<inotify_event>.alignment)
        defer { buffer.deallocate() }
        while true {
            let count = read(instance, buffer, size)
            guard count > 0 else {
                if count < 0, errno == EINTR { continue }
                return
            }
            var offset = 0
            while offset + MemoryLayout<inotify_event>.size <= count {
                let event = buffer.load(fromByteOffset: offset, as: inotify_event.self)
                let text = buffer + offset + MemoryLayout<inotify_event>.size
                let name = event.len > 0 ? String(cString: text.assumingMemoryBound(to: CChar.self)) : ""
                tell(event, name)
                offset += MemoryLayout<inotify_event>.size + Int(event.len)
            }
        }
    }

    private func tell(_ event: inotify_event, _ name: String) {
        let isOverflow = event.mask & UInt32(IN_Q_OVERFLOW) != 0
        let listeners = state.withLock { state in
            if isOverflow { return state.listeners.values.flatMap(\.values) }
            return Array(state.listeners[event.wd, default: [:]].values)
        }
        let news: [(UInt32, FolderWatch.Event)] = [
            (UInt32(IN_CREATE), .appeared(name)), (UInt32(IN_DELETE), .disappeared(name)),
            (UInt32(IN_MODIFY), .wrote(name)), (UInt32(IN_Q_OVERFLOW), .missedSome),
        ]
        for (mask, happened) in news where event.mask & mask != 0 {
            for listener in listeners { listener(happened) }
        }
    }
}
#endif
