// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import Testing

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// One TCP connection to a server on this machine, on which a test says exactly which bytes go when, and
/// which it can close in the middle.
final class RawConnection: Sendable {
    private let socket: Int32

    struct Failed: Error {}

    init(port: Int) throws {
        #if canImport(Darwin)
        socket = Darwin.socket(AF_INET, SOCK_STREAM, 0)
        #else
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Failed() }
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Closes so that the server's next write fails: with a reset.
    func abort() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close(socket)
    }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard write(socket, bytes, bytes.count) == bytes.count else { throw Failed() }
    }

    func get(_ path: String, method: String = "GET") throws {
        try send("\(method) \(path) HTTP/1.1\r\nHost: test\r\n\r\n")
    }

    /// Reads until what has come contains `text`; on a thread of its own, because the server needs the ones of
    /// the shared pool.
    func read(until text: String) async throws -> String {
        let socket = socket
        return try await Self.threads.runBlocking {
            var seen = ""
            var buffer = [UInt8](repeating: 0, count: 4096)
            while !seen.contains(text) {
                let count = recv(socket, &buffer, buffer.count, 0)
                guard count > 0 else { throw Failed() }
                seen += String(decoding: buffer[..<count], as: UTF8.self)
            }
            return seen
        }
    }

    /// Reads until what has come contains `text`, which must be part of an answer with status 200.
    func expectOK(until text: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let seen = try await read(until: text)
        #expect(seen.contains("200 OK"), sourceLocation: sourceLocation)
    }

    private static let threads = ThreadPool(threads: 16, name: "sockets", clock: SystemClock.shared)
}
