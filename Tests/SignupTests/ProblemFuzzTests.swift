// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import HTTPTypes
import NIOCore
import Testing

@testable import Signup

/// Bodies and queries of strangers, for `FUZZ_SECONDS` (3); `FUZZ_SEED` repeats a run.
@Suite("Any request gets an answer that says what is wrong", .timeLimit(.minutes(5)))
struct ProblemFuzzTests {
    private struct Route {
        let path: String
        /// The pointers that a problem may name.
        let fields: Set<String>
        let json: HostileJSON

        init(_ path: String, _ names: [String], _ corpus: [String]) {
            self.path = path
            fields = Set(names.map { "#/\($0)" } + ["#"])
            json = HostileJSON(names: names, corpus: corpus)
        }
    }

    private static let routes = [
        Route(
            "/register",
            ["email", "name", "password"],
            [
                #"{"email":"ada@example.com","name":"Ada"}"#,
                #"{"email":"a.b+c@sub.example.com","name":"Ada Lovelace","password":"long enough"}"#,
            ]
        ),
        Route("/process", ["text", "seconds"], [#"{"text":"to be","seconds":0}"#, #"{"text":"a"}"#]),
        Route("/thumbnails", ["size", "factor"], [#"{"size":16,"factor":16}"#, #"{"size":17,"factor":1}"#]),
        Route("/exports", ["rows", "pauseMilliseconds"], [#"{"rows":1,"pauseMilliseconds":0}"#]),
    ]

    @Test("any bytes as a body are done, or refused with a problem that names the fields")
    func bodies() async throws {
        let run = FuzzRun(ProcessInfo.processInfo.environment)
        print("fuzz problem bodies: \(run)")
        try await ServiceFixture.run(mode: .discard) { fixture in
            try await fixture.service.jobs.pause(.everything, reason: "what is enqueued is not what is tried here")
            let report = try await run.rounds(of: "problem bodies") { generator, again in
                let route = generator.pick(Self.routes)
                let body = route.json.next(using: &generator, limit: 70_000)
                let answer = try await fixture.post(route.path, ByteBuffer(bytes: body))
                let words = "\(route.path) \(String(decoding: body.prefix(300), as: UTF8.self)), \(again)"
                Self.check(answer, fields: route.fields, words)
            }
            print(report)
        }
    }

    private static func check(_ answer: Answer, fields: Set<String>, _ words: String) {
        switch answer.status {
        case 201, 202:
            #expect(answer.json != nil, "\(words)")
        case 400, 413, 422:
            #expect(answer.headers[.contentType] == "application/problem+json", "\(words)")
            #expect(answer.json?["status"]?.integer == answer.status, "\(words)")
            #expect(answer["title"]?.isEmpty == false && answer["detail"]?.isEmpty == false, "\(words)")
            #expect(answer.parts.values.allSatisfy { !$0.isEmpty }, "\(words)")
            #expect(Set(answer.parts.keys).isSubset(of: fields), "\(words)")
            #expect(answer.parts.isEmpty == (answer.status != 422), "\(words)")
        default:
            Issue.record("\(answer.status) \(answer.text.prefix(200)) for \(words)")
        }
    }
}
