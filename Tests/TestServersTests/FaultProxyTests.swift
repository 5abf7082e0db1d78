// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Testing

@testable import TestServers

@Suite("The fault proxy", .timeLimit(.minutes(1)))
struct FaultProxyTests {
    /// Runs `body` with a proxy before an echo server.
    private func with(_ body: (FaultProxy, EchoServer) async throws -> Void) async throws {
        let server = try await EchoServer.start()
        let proxy = try await FaultProxy.start(to: .port(server.port))
        do {
            try await body(proxy, server)
        } catch {
            try? await proxy.close()
            try? await server.close()
            throw error
        }
        try await proxy.close()
        try? await server.close()
    }

    /// Says each line on one connection and answers with what came back before the connection ended.
    private func talk(_ proxy: FaultProxy, _ lines: String...) async throws -> [String] {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: proxy.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var answers: [String] = []
            var bytes = inbound.makeAsyncIterator()
            do {
                for line in lines {
                    try await outbound.write(ByteBuffer(string: line + "\n"))
                    guard let answer = try await bytes.next() else { break }
                    answers.append(String(buffer: answer).trimmingNewline)
                }
            } catch is IOError {
            } catch is ChannelError {
            }
            return answers
        }
    }

    @Test("passes what both sides say")
    func pass() async throws {
        try await with { proxy, server in
            let answers = try await talk(proxy, "a", "b", "c")
            #expect(answers == ["a", "b", "c"])
            #expect(server.lines == ["a", "b", "c"])
            #expect(proxy.counts.connections == 1)
            #expect(proxy.counts.requests == 3)
            #expect(proxy.counts.answers == 3)
        }
    }

    @Test("passes more than any buffer holds")
    func large() async throws {
        try await with { proxy, _ in
            let line = String(repeating: "x", count: 3_000_000)
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: proxy.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                    }
                }
            try await channel.executeThenClose { inbound, outbound in
                async let sent: Void = outbound.write(ByteBuffer(string: line))
                var count = 0
                for try await bytes in inbound {
                    count += bytes.readableBytes
                    if count == line.utf8.count { break }
                }
                try await sent
                #expect(count == line.utf8.count)
            }
        }
    }

    @Test("cuts after the request: the server has it, the client has no answer", arguments: [1, 3])
    func cutAfterRequest(_ number: Int) async throws {
        try await with { proxy, server in
            proxy.cut(.afterRequest, at: number)
            let lines = ["a", "b", "c", "d"]
            let answers = try await talk(proxy, lines[0], lines[1], lines[2], lines[3])
            #expect(answers == Array(lines.prefix(number - 1)))
            await server.untilAsked(lines[number - 1])
            #expect(server.lines == Array(lines.prefix(number)))
            #expect(proxy.counts.cuts == 1)
            #expect(try await talk(proxy, "e") == ["e"], "the next connection is not cut")
        }
    }

    @Test("cuts before the answer: the server has answered, the client sees nothing of it", arguments: [1, 3])
    func cutBeforeAnswer(_ number: Int) async throws {
        try await with { proxy, server in
            proxy.cut(.beforeAnswer, at: number)
            let lines = ["a", "b", "c", "d"]
            let answers = try await talk(proxy, lines[0], lines[1], lines[2], lines[3])
            #expect(answers == Array(lines.prefix(number - 1)))
            #expect(server.lines == Array(lines.prefix(number)))
            #expect(proxy.counts.answers == number)
            await proxy.untilCuts(1)
            #expect(try await talk(proxy, "e") == ["e"], "the next connection is not cut")
        }
    }

    @Test("cuts where the request holds certain words")
    func cutWhere() async throws {
        try await with { proxy, _ in
            proxy.cut(.beforeAnswer, at: 2, where: "COMMIT")
            let answers = try await talk(proxy, "BEGIN", "COMMIT", "BEGIN", "x COMMIT", "BEGIN")
            #expect(answers == ["BEGIN", "COMMIT", "BEGIN"])
            proxy.cut(.beforeAnswer)
            proxy.forgetCuts()
            #expect(try await talk(proxy, "a") == ["a"])
        }
    }

    @Test("counts across connections")
    func acrossConnections() async throws {
        try await with { proxy, _ in
            proxy.cut(.beforeAnswer, at: 2)
            let first = try await talk(proxy, "a")
            #expect(first == ["a"])
            #expect(try await talk(proxy, "b") == [])
            #expect(try await talk(proxy, "c") == ["c"])
        }
    }

    @Test("delays, in order")
    func delay() async throws {
        try await with { proxy, _ in
            try await proxy.set(.delay(.milliseconds(20)))
            let clock = ContinuousClock()
            let start = clock.now
            #expect(try await talk(proxy, "a", "b") == ["a", "b"])
            // Two requests and two answers.
            #expect(clock.now - start >= .milliseconds(80))
            #expect(proxy.counts.delayed == 4)
        }
    }

    @Test("swallows: connections open and nothing is answered")
    func swallow() async throws {
        try await with { proxy, server in
            try await proxy.set(.swallow)
            let answers = try await withThrowingTaskGroup(of: [String].self) { group in
                group.addTask { try await talk(proxy, "a") }
                while proxy.counts.swallowed == 0 { await Task.yield() }
                proxy.endConnections()
                return try await group.next()
            }
            #expect(answers == [])
            #expect(server.lines == [])
            try await proxy.set(.pass)
            #expect(try await talk(proxy, "b") == ["b"])
        }
    }

    @Test("refuses connections, ends those that are open, and has the same port afterwards")
    func refuse() async throws {
        try await with { proxy, _ in
            #expect(try await talk(proxy, "a") == ["a"])
            try await proxy.set(.refuse)
            await #expect(throws: (any Error).self) { _ = try await talk(proxy, "b") }
            try await proxy.set(.pass)
            #expect(try await talk(proxy, "c") == ["c"])
        }
    }

    @Test("an absent server is a closed connection")
    func absent() async throws {
        try await with { proxy, server in
            try await server.close()
            #expect(try await talk(proxy, "a") == [])
        }
    }
}

extension String {
    fileprivate var trimmingNewline: String { last == "\n" ? String(dropLast()) : self }
}
