// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A thread of the operating system, for what must run when the cooperative pool is starved, and for what
/// blocks.
package enum OSThread {
    /// Runs `body` on a new detached thread.
    ///
    /// Its name, as `top -H` and debuggers show it, is cut to the 15 bytes Linux allows.
    /// - Returns: Whether the system gave us a thread.
    @discardableResult
    package static func start(named name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        let start = Unmanaged.passRetained(Start(name: name, body: body)).toOpaque()
        let isStarted = create(start)
        if !isStarted { Unmanaged<Start>.fromOpaque(start).release() }
        return isStarted
    }

    /// Gives the core to another thread that is ready to run, if there is one.
    package static func yield() { sched_yield() }

    private static func create(_ start: UnsafeMutableRawPointer) -> Bool {
        #if canImport(Darwin)
        var thread: pthread_t?
        guard pthread_create(&thread, nil, { enter($0) }, start) == 0, let thread else { return false }
        #else
        var thread = pthread_t()
        guard pthread_create(&thread, nil, enter, start) == 0 else { return false }
        #endif
        pthread_detach(thread)
        return true
    }
}

private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

private func enter(_ pointer: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let pointer else { return nil }
    let start = Unmanaged<Start>.fromOpaque(pointer).takeRetainedValue()
    setName(String(decoding: start.name.utf8.prefix(15), as: UTF8.self))
    start.body()
    return nil
}

private func setName(_ name: String) {
    #if canImport(Darwin)
    pthread_setname_np(name)
    #else
    // Glibc declares pthread_setname_np only for GNU sources, which Swift is not; the kernel offers a file.
    let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    _ = name.withCString { write(file, $0, name.utf8.count) }
    close(file)
    #endif
}
