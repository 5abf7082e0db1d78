// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

#if canImport(System)
import System
#else
import SystemPackage
#endif

extension Drills {
    @Test(
        "a port that is taken, or a bad setting, ends the start with words that say what to do",
        .timeLimit(.minutes(3))
    )
    func badStart() async throws {
        try await withTemporaryFolder { folder in
            let environment = [
                "PORT": "0", "DATABASE": folder.appending(path: "a.db").path,
                "MAIL_FOLDER": folder.appending(path: "mail").path, "FILE_FOLDER": folder.appending(path: "files").path,
            ]
            let (_, status) = try await SignupProcess.run(environment) { process in
                let port = try #require(process.url.split(separator: ":").last)
                let busy = try await Self.start(environment.merging(["PORT": "\(port)"]) { $1 })
                #expect(busy.status == .exited(1))
                #expect(busy.error.contains("port \(port) on 127.0.0.1 is in use"))
                #expect(busy.error.contains("choose another, for example PORT="))
                let wrong = try await Self.start(environment.merging(["PORT": "x", "LOG_LEVEL": "y"]) { $1 })
                #expect(wrong.status == .exited(1))
                #expect(wrong.error.contains("PORT is 'x'") && wrong.error.contains("LOG_LEVEL is 'y'"))
            }
            #expect(status == .exited(0))
        }
    }

    private static func start(
        _ environment: [String: String]
    ) async throws -> (status: TerminationStatus, error: String) {
        let updates = Dictionary(
            uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0), $1 as String?) }
        )
        let result = try await Subprocess.run(
            .path(FilePath(try SignupProcess.program().path)),
            environment: .inherit.updating(updates),
            output: .discarded,
            error: .string(limit: 65_536)
        )
        return (result.terminationStatus, result.standardError)
    }
}
