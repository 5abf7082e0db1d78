// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import TestServers

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite("Processes of tests", .timeLimit(.minutes(1)))
struct ChildProcessTests {
    private static func shell(_ script: String, _ setup: ChildProcess.Setup = .init()) throws -> ChildProcess {
        try ChildProcess("/bin/sh", ["-c", script], setup)
    }

    @Test("a process inherits its three streams and no other descriptor")
    func inheritsNothing() throws {
        // Not close-on-exec, as those that other libraries open.
        let stray = fcntl(0, F_DUPFD, 200)
        defer { _ = close(stray) }
        #expect(stray >= 200)
        let listed = try ChildProcess.run("/bin/sh", ["-c", "for f in /dev/fd/*; do echo ${f##*/}; done"])
        let found = listed.split(separator: "\n").compactMap { Int32($0) }
        // The shell itself reads the folder with one.
        #expect(found.contains(1) && found.allSatisfy { $0 <= 3 }, "\(found)")
    }

    @Test("the input of one ends when it is closed, whatever was started since")
    func inputEnds() throws {
        var setup = ChildProcess.Setup()
        setup.isFed = true
        let fed = try Self.shell("while read -r line; do echo \"heard $line\"; done; echo over", setup)
        let server = try Self.shell("exec sleep 1000")
        defer { server.signal(SIGKILL) }
        fed.tell("a word")
        try fed.until("heard a word")
        fed.closeInput()
        #expect(fed.wait() == 0)
        #expect(fed.said.hasSuffix("over\n"))
        #expect(server.status == nil)
        // It has ended: nothing happens.
        fed.tell("another")
        fed.signal(SIGKILL)
    }

    @Test("how a process ended, what it said, and what it did not say")
    func ends() throws {
        #expect(try Self.shell("exit 3").wait() == 3)
        let killed = try Self.shell("echo pérsists; exec sleep 1000")
        try killed.until("pérsists")
        killed.signal(SIGTERM)
        #expect(killed.wait() == 128 + SIGTERM)
        let error = #expect(throws: TestServerError.self) { try Self.shell("echo trouble; exit 1").until("ready") }
        #expect(error?.description.contains("trouble") == true)
        #expect(throws: TestServerError.self) { try ChildProcess("/nowhere/at-all", []) }
    }

    @Test("one that is gone is buried at once, also when what it started still holds its output")
    func buried() throws {
        let parent = try Self.shell("sleep 1000 & echo child $!; exit 7")
        try parent.until("child ")
        var facts = siginfo_t()
        // Until there is no zombie of that id any more.
        while waitid(P_PID, id_t(parent.id), &facts, WEXITED | WNOWAIT | WNOHANG) == 0 { sched_yield() }
        #expect(errno == ECHILD)
        #expect(parent.status == nil)
        let child = try #require(pid_t(parent.said.split(separator: " ").last?.filter(\.isNumber) ?? ""))
        _ = kill(child, SIGKILL)
        #expect(parent.wait() == 7)
    }

    @Test("when the test process is gone, what it started ends, frozen or not, and its folders go")
    func watch() throws {
        let folder = try TestMachine.folder("watched by two")
        let processes = try (0..<3).map { _ in try Self.shell("exec sleep 1000") }
        processes[0].signal(SIGSTOP)
        let watch = ChildWatch()
        watch.add(processes[0].id, ending: SIGTERM)
        watch.add(processes[1].id, ending: SIGKILL)
        watch.add(processes[2].id, ending: SIGKILL)
        watch.forget(processes[2].id)
        watch.add(folder: folder)
        watch.end()
        #expect(processes[0].wait() == 128 + SIGTERM)
        #expect(processes[1].wait() == 128 + SIGKILL)
        #expect(processes[2].status == nil)
        processes[2].signal(SIGKILL)
        #expect(processes[2].wait() == 128 + SIGKILL)
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test("a reserved port refuses, is given to nobody, and takes a server that stops and starts")
    func port() async throws {
        let port = try ReservedPort()
        #expect(try ReservedPort().number != port.number)
        let server = try await EchoServer.start()
        defer { Task { try await server.close() } }
        let proxy = try await FaultProxy.start(to: .port(server.port))
        for _ in 0..<50 {
            try await proxy.set(.refuse)
            try await proxy.set(.pass)
        }
        try await proxy.close()
    }
}
