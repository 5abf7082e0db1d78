// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A port of 127.0.0.1 that nobody else is given for as long as this lives; whoever connects is refused unless a server
/// listens there.
///
/// On Linux a socket stays bound to it without listening, which keeps neither a server with `SO_REUSEADDR` away nor lets
/// the system give the port to a client's end while that server is down. Elsewhere two sockets cannot share it, and it is
/// only known to have been free.
public final class ReservedPort: Sendable {
    public let number: Int
    private let descriptor: Int32

    public init() throws {
        #if canImport(Darwin)
        let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #else
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        #endif
        guard descriptor >= 0 else { throw TestServerError("no socket to be had") }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length) == 0 && getsockname(descriptor, raw, &length) == 0
            }
        }
        guard isBound else {
            _ = close(descriptor)
            throw TestServerError("no free port on 127.0.0.1")
        }
        number = Int(UInt16(bigEndian: address.sin_port))
        #if canImport(Darwin)
        _ = close(descriptor)
        self.descriptor = -1
        #else
        self.descriptor = descriptor
        #endif
    }

    deinit { if descriptor >= 0 { _ = close(descriptor) } }
}
