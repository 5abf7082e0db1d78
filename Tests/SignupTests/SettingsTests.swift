// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Errand
import ErrandCore
import Foundation
import Logging
import Testing

@testable import Signup

@Suite("Settings")
struct SettingsTests {
    private func read(_ environment: [String: String]) throws -> Settings {
        try Settings(ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: environment)))
    }

    @Test("nothing has to be set")
    func defaults() throws {
        let settings = try read([:])
        #expect(settings.host == "127.0.0.1" && settings.port == 8080)
        #expect(settings.durability == .powerLoss && settings.role == .all)
        #expect(settings.worker.concurrency == 16)
        #expect(settings.worker.shutdown == WorkerShutdown())
        #expect(settings.webhookURL == nil && settings.runLedger == nil && settings.worker.scheduler != nil)
    }

    @Test("everything can be set, and an empty variable counts as not set")
    func all() throws {
        let settings = try read([
            "HOST": "0.0.0.0", "PORT": "0", "DATABASE": "a.db", "DURABILITY": "processCrash", "MAIL_FOLDER": "m",
            "FILE_FOLDER": "f", "WEBHOOK_URL": "https://example.com/x", "MAIL_FROM": "a@example.com",
            "TEAM_ADDRESS": "", "WORKER_CONCURRENCY": "3", "WORKER_BEAT_MS": "100", "WORKER_FENCE_AFTER_MS": "300",
            "WORKER_DEAD_AFTER_MS": "900", "WORKER_MAINTENANCE_MS": "50", "SHUTDOWN_CANCEL_AFTER_MS": "1",
            "SHUTDOWN_GIVE_BACK_AFTER_MS": "2", "SHUTDOWN_EXIT_AFTER_MS": "3", "RUN_LEDGER": "l", "LOG_LEVEL": "debug",
            "ROLE": "worker", "SCHEDULES": "off",
            "ERRAND_STORE": "rediss://queue.example.com",
        ])
        #expect(settings.port == 0 && settings.host == "0.0.0.0" && settings.database == "a.db")
        #expect(settings.durability == .processCrash)
        #expect(settings.mailFolder.lastPathComponent == "m" && settings.fileFolder.lastPathComponent == "f")
        #expect(settings.webhookURL == "https://example.com/x")
        #expect(settings.mailFrom == "a@example.com" && settings.teamAddress == "team@example.com")
        #expect(settings.worker.concurrency == 3 && settings.worker.beatInterval == .milliseconds(100))
        #expect(settings.worker.deadAfter == .milliseconds(900))
        #expect(settings.worker.shutdown.exitAfter == .milliseconds(3))
        #expect(settings.runLedger == "l" && settings.logLevel == .debug && settings.role == .worker)
        #expect(settings.store == "rediss://queue.example.com" && settings.worker.scheduler == nil)
    }

    @Test(
        "a bad value is refused with its key and what to write",
        arguments: [
            ("PORT", "eighty", "from 0 to 65535"), ("PORT", "70000", "from 0 to 65535"),
            ("WORKER_CONCURRENCY", "0", "from 1"), ("ROLE", "boss", "all, web, worker"), ("SCHEDULES", "1", "on, off"),
            ("ERRAND_STORE", "mysql://localhost/jobs", "postgres://… or redis://…"),
            ("DURABILITY", "none", "powerLoss, processCrash"),
            ("WEBHOOK_URL", "example.com", "web address"), ("WEBHOOK_URL", "ftp://example.com", "web address"),
            ("MAIL_FROM", "nobody", "address"), ("LOG_LEVEL", "loud", "trace, debug"),
            ("WORKER_BEAT_MS", "60000", "WORKER_…"), ("SHUTDOWN_CANCEL_AFTER_MS", "60000", "SHUTDOWN_…"),
        ]
    )
    func bad(key: String, value: String, advice: String) throws {
        let error = try #require(#expect(throws: StartError.self) { try read([key: value]) })
        #expect(error.description.contains(key.split(separator: "_")[0]))
        #expect(error.description.contains(advice))
    }

    @Test("several bad values are all named")
    func several() throws {
        let error = try #require(#expect(throws: StartError.self) { try read(["PORT": "x", "LOG_LEVEL": "y"]) })
        #expect(error.description.contains("PORT is 'x'") && error.description.contains("LOG_LEVEL is 'y'"))
    }

    @Test("a folder that cannot be made is named", .timeLimit(.minutes(3)))
    func folder() async throws {
        try await withTemporaryFolder { folder in
            let file = folder.appending(path: "file")
            try Data().write(to: file)
            let settings = try read(["MAIL_FOLDER": file.appending(path: "mail").path])
            let error = try #require(#expect(throws: StartError.self) { try settings.makeFolders() })
            #expect(error.description.contains("MAIL_FOLDER"))
        }
    }
}
