// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire
import Synchronization
import TestServers
import Testing

@Suite("The client and a real server", .timeLimit(.minutes(2)))
struct RedisClientTests {
    private func client(
        _ server: RedisServer,
        _ change: (inout RedisConfiguration) -> Void = { _ in }
    ) throws -> RedisClient {
        var configuration = RedisConfiguration(try RedisAddress(url: server.url))
        configuration.tls.trustedCertificates = server.certificates?.root
        change(&configuration)
        return RedisClient(configuration)
    }

    /// The error with which a call failed.
    private func failure(_ call: () async throws(RedisError) -> Void) async -> RedisError? {
        do throws(RedisError) {
            try await call()
            return nil
        } catch {
            return error
        }
    }

    @Test("thousands of commands of many callers get their own answers", arguments: [true, false])
    func pipelining(_ newest: Bool) async throws {
        let client = try client(try RedisServer.shared()) {
            $0.dialect = newest ? .newest : .resp2
            $0.commandsInFlight = 50
            $0.bytesInFlight = 5000
        }
        await withTaskGroup(of: Bool.self) { group in
            for caller in 0..<40 {
                group.addTask {
                    for number in 0..<50 {
                        let text = "\(caller) \(number)" + String(repeating: "x", count: number * 10)
                        let answer = try? await client.send(RedisCommand("ECHO", text))
                        if answer?.text != text { return false }
                    }
                    return true
                }
            }
            for await isRight in group { #expect(isRight) }
        }
        #expect(client.generation == 1)
        await client.close()
    }

    @Test("bytes of any kind come back as they were sent")
    func binary() async throws {
        let client = try client(try RedisServer.shared())
        for size in [0, 1, 255, 256, 100_000, 3_000_000] {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            var command = RedisCommand("ECHO")
            command.append(bytes)
            let answer = try await client.send(command)
            #expect(answer.buffer.map { Array(buffer: $0) } == bytes)
        }
        await client.close()
    }

    @Test("an error of one command is the answer to it and to no other")
    func errors() async throws {
        let client = try client(try RedisServer.shared())
        let answers = try await client.send([
            RedisCommand("ECHO", "a"), RedisCommand("NONSENSE"), RedisCommand("ECHO", "b"),
        ])
        #expect(answers[0].text == "a")
        #expect(answers[2].text == "b")
        guard case .error = answers[1] else {
            Issue.record("\(answers[1])")
            return
        }
        let error = await failure { () throws(RedisError) in _ = try await client.send(RedisCommand("NONSENSE")) }
        #expect(error?.code == .refused)
        #expect(error?.word == "ERR")
        await client.close()
    }

    @Test("a script is loaded once, and again when the server forgot it")
    func scripts() async throws {
        let server = try RedisServer()
        defer { server.kill() }
        let client = try client(server)
        let script = RedisScript(name: "sum", source: "return ARGV[1] + ARGV[2]")
        func sum(_ a: Int, _ b: Int) async throws -> Int64? {
            try await client.run(script, keys: 0) {
                $0.append(a)
                $0.append(b)
            }
            .integer
        }
        #expect(try await sum(1, 2) == 3)
        _ = try await client.send(RedisCommand("SCRIPT", "FLUSH"))
        #expect(try await sum(3, 4) == 7)
        _ = try await client.send(RedisCommand("SCRIPT", "FLUSH"))
        let sums = try await client.run(script, keys: 0, times: 3) { index, command in
            command.append(index)
            command.append(10)
        }
        #expect(sums.map(\.integer) == [10, 11, 12])
        await client.close()
    }

    @Test("after a crash of the server it connects again by itself; nothing is called sent that was not")
    func crash() async throws {
        let server = try RedisServer()
        let client = try client(server) { $0.backoff = .fixed(.milliseconds(20)) }
        _ = try await client.send(RedisCommand("SET", "a", "1"))
        server.kill()
        let error = await failure { () throws(RedisError) in _ = try await client.send(RedisCommand("GET", "a")) }
        #expect(error?.code == .notSent || error?.code == .outcomeUnknown)
        try server.start()
        var answer: RESPValue?
        while answer == nil { answer = try? await client.send(RedisCommand("GET", "a")) }
        #expect(answer?.text == "1")
        #expect(client.generation == 2)
        await client.close()
        server.kill()
    }

    @Test("a frozen server is noticed at the time limit, and the connection works again when it goes on")
    func freeze() async throws {
        let server = try RedisServer()
        defer { server.kill() }
        let client = try client(server) {
            $0.commandTimeLimit = .milliseconds(300)
            $0.connectTimeLimit = .milliseconds(300)
        }
        _ = try await client.send(RedisCommand("SET", "a", "1"))
        server.freeze()
        let error = await failure { () throws(RedisError) in _ = try await client.send(RedisCommand("INCR", "a")) }
        #expect(error?.code == .outcomeUnknown)
        let next = await failure { () throws(RedisError) in _ = try await client.send(RedisCommand("GET", "a")) }
        #expect(next?.code == .notSent)
        server.thaw()
        var answer: RESPValue?
        while answer == nil { answer = try? await client.send(RedisCommand("GET", "a")) }
        #expect(answer?.text == "1" || answer?.text == "2")
        await client.close()
    }

    @Test("nobody listens: refused at once, with the address and no password")
    func nobody() async throws {
        let reserved = try ReservedPort()
        let port = reserved.number
        let client = RedisClient(RedisConfiguration(try RedisAddress(url: "redis://:topsecret@127.0.0.1:\(port)")))
        let error = await failure { () throws(RedisError) in _ = try await client.send(RedisCommand("PING")) }
        #expect(error?.code == .notSent)
        #expect(error?.message.contains("127.0.0.1:\(port)") == true)
        #expect(error?.message.contains("topsecret") == false)
        await client.close()
        let closed = await failure { () throws(RedisError) in _ = try await client.send(RedisCommand("PING")) }
        #expect(closed?.code == .closed)
    }

    @Test("passwords and users, right and wrong, in both dialects", arguments: [true, false])
    func access(_ newest: Bool) async throws {
        let server = try RedisServer(.init(["requirepass": "open sesame"]))
        defer { server.kill() }
        func word(_ credentials: String) async throws -> String? {
            let url = "redis://\(credentials)127.0.0.1:\(server.port)"
            var configuration = RedisConfiguration(try RedisAddress(url: url))
            configuration.dialect = newest ? .newest : .resp2
            let client = RedisClient(configuration)
            let error = await failure { () throws(RedisError) in
                _ = try await client.send(RedisCommand("ACL", "SETUSER", "ada", "on", ">pw", "~*", "&*", "+@all"))
            }
            await client.close()
            return error?.word
        }
        #expect(try await word(":open%20sesame@") == nil)
        #expect(try await word("ada:pw@") == nil)
        #expect(try await word("default:open%20sesame@") == nil)
        #expect(try await word(":wrong@") == "WRONGPASS")
        #expect(try await word("ada:wrong@") == "WRONGPASS")
        #expect(try await word("eve:pw@") == "WRONGPASS")
        #expect(try await word("") == "NOAUTH")
    }

    @Test("another database, and one that is not there")
    func databases() async throws {
        let server = try RedisServer()
        defer { server.kill() }
        let second = RedisClient(RedisConfiguration(try RedisAddress(url: server.url + "/1")))
        _ = try await second.send(RedisCommand("SET", "only here", "1"))
        let first = try client(server)
        #expect(try await first.send(RedisCommand("GET", "only here")) == .null)
        let none = RedisClient(RedisConfiguration(try RedisAddress(url: server.url + "/99")))
        let error = await failure { () throws(RedisError) in _ = try await none.send(RedisCommand("PING")) }
        #expect(error?.code == .notSent)
        for client in [first, second, none] { await client.close() }
    }

    @Test("TLS: the chain is verified, by name and by address; strangers and plain servers are refused")
    func tls() async throws {
        let server = try RedisServer(.init(usesTLS: true))
        defer { server.kill() }
        var options = RedisServer.Options(usesTLS: true)
        options.names = "DNS:elsewhere.example"
        let elsewhere = try RedisServer(options)
        defer { elsewhere.kill() }
        func works(_ host: String, _ server: RedisServer, _ change: (inout RedisTLS) -> Void = { _ in }) async throws
            -> Bool
        {
            var configuration = RedisConfiguration(try RedisAddress(url: "rediss://\(host):\(server.port)"))
            configuration.tls.trustedCertificates = server.certificates?.root
            configuration.connectTimeLimit = .seconds(3)
            change(&configuration.tls)
            let client = RedisClient(configuration)
            let error = await failure { () throws(RedisError) in _ = try await client.send(RedisCommand("PING")) }
            await client.close()
            if let error { #expect(error.code == .notSent) }
            return error == nil
        }
        #expect(try await works("127.0.0.1", server))
        #expect(try await works("localhost", server))
        #expect(try await works("127.0.0.1", server) { $0.serverName = "localhost" })
        #expect(try await works("127.0.0.1", elsewhere) == false)
        #expect(try await works("localhost", elsewhere) == false)
        #expect(try await works("127.0.0.1", elsewhere) { $0.serverName = "elsewhere.example" })
        #expect(
            try await works("127.0.0.1", server) { $0.trustedCertificates = server.certificates?.stranger } == false
        )
        #expect(try await works("127.0.0.1", server) { $0.trustedCertificates = nil } == false)
        let plain = try RedisServer.shared()
        var configuration = RedisConfiguration(try RedisAddress(url: "rediss://127.0.0.1:\(plain.port)"))
        configuration.connectTimeLimit = .seconds(1)
        let client = RedisClient(configuration)
        let error = await failure { () throws(RedisError) in _ = try await client.send(RedisCommand("PING")) }
        #expect(error?.code == .notSent)
        await client.close()
    }

    @Test("a subscription hears messages, and begins anew after a crash of the server")
    func subscription() async throws {
        let server = try RedisServer()
        let client = try client(server) { $0.backoff = .fixed(.milliseconds(20)) }
        let (events, heard) = AsyncStream.makeStream(of: String.self)
        let subscriber = RedisSubscriber(["news"], beside: client) { event in
            switch event {
            case .began: heard.yield("began")
            case .message(let channel, let message): heard.yield("\(channel) \(String(buffer: message))")
            }
        }
        subscriber.start()
        var all = events.makeAsyncIterator()
        #expect(await all.next() == "began")
        _ = try await client.send(RedisCommand("PUBLISH", "news", "one"))
        #expect(await all.next() == "news one")
        server.kill()
        try server.start()
        #expect(await all.next() == "began")
        var published: RESPValue?
        while published == nil { published = try? await client.send(RedisCommand("PUBLISH", "news", "two")) }
        #expect(await all.next() == "news two")
        await subscriber.close()
        await client.close()
        server.kill()
    }
}
