// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("What can be stored")
struct NewJobTests {
    static func job(_ change: (inout NewJob) -> Void = { _ in }) -> NewJob {
        var job = NewJob(id: JobID(high: 1, low: 1), name: "mail", payload: Payload(bytes: []))
        change(&job)
        return job
    }

    static let good: [(String, NewJob)] = [
        ("plain", job()),
        ("a name of 200 bytes", job { $0.name = JobName(String(repeating: "n", count: 200)) }),
        ("a payload at the limit", job { $0.payload.bytes = Array(repeating: 0, count: Payload.defaultLimit) }),
        ("twenty tags", job { $0.tags = Array(repeating: "t", count: 20) }),
        ("fifty headers", job { $0.headers = Dictionary(uniqueKeysWithValues: (0..<50).map { ("h\($0)", "") }) }),
        ("a key of 1,024 bytes", job { $0.unique = UniqueRule(key: String(repeating: "k", count: 1024)) }),
        ("no timeout", job { $0.timeout = nil }),
        ("a name with spaces and emoji", job { $0.name = "send mail 😀" }),
    ]

    static let bad: [(String, NewJob)] = [
        ("no name", job { $0.name = "" }),
        ("a name of 201 bytes", job { $0.name = JobName(String(repeating: "n", count: 201)) }),
        ("a control character", job { $0.queue = "a\nb" }), ("no queue", job { $0.queue = "" }),
        ("version 0", job { $0.payload.version = 0 }),
        ("a payload over the limit", job { $0.payload.bytes = Array(repeating: 0, count: Payload.defaultLimit + 1) }),
        ("21 tags", job { $0.tags = Array(repeating: "t", count: 21) }), ("an empty tag", job { $0.tags = [""] }),
        ("51 headers", job { $0.headers = Dictionary(uniqueKeysWithValues: (0..<51).map { ("h\($0)", "") }) }),
        ("too large headers", job { $0.headers = ["h": String(repeating: "x", count: NewJob.headerBytes)] }),
        ("a header without a name", job { $0.headers = ["": "x"] }),
        ("an empty key", job { $0.unique = UniqueRule(key: "") }),
        ("a key of 1,025 bytes", job { $0.unique = UniqueRule(key: String(repeating: "k", count: 1025)) }),
        ("a key for no time", job { $0.unique = UniqueRule(key: "k", scope: .forTTL(.zero)) }),
        ("no time to run", job { $0.timeout = .zero }), ("a deadline before now", job { $0.deadline = .seconds(-1) }),
        ("no time to start", job { $0.startWithin = .zero }),
    ]

    @Test("a job within the limits can be stored", arguments: good)
    func accepted(what: String, job: NewJob) {
        #expect(job.problem() == nil)
    }

    @Test("a job outside them cannot, and the problem is a sentence", arguments: bad)
    func refused(what: String, job: NewJob) throws {
        let problem = try #require(job.problem())
        #expect(problem.contains(" ") && !problem.hasSuffix("."))
    }

    @Test("the limit of a payload is the caller's")
    func limit() {
        let job = Self.job { $0.payload.bytes = [1, 2, 3] }
        #expect(job.problem(payloadLimit: 2) != nil)
        #expect(job.problem(payloadLimit: 3) == nil)
    }
}
