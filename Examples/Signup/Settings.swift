// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Errand
import Foundation
import Logging

/// Everything about the service that differs between machines, read from the environment once, at the start.
///
/// | key | default | meaning |
/// |---|---|---|
/// | `HOST` | `127.0.0.1` | address to listen on |
/// | `PORT` | `8080` | port to listen on; 0 for any free one |
/// | `ROLE` | `all` | what the process does: `web` answers requests, `worker` runs jobs, `all` does both |
/// | `ERRAND_STORE` | none | server of the jobs: `postgres://…` or `redis://…`; without it the file below |
/// | `DATABASE` | `signup.db` | file of the jobs |
/// | `DURABILITY` | `powerLoss` | what an answered request survives: `powerLoss` or `processCrash` |
/// | `MAIL_FOLDER` | `mail` | where mails go, as files |
/// | `WEBHOOK_URL` | none | where mails go instead, by HTTP |
/// | `MAIL_FROM` | `welcome@example.com` | who mails are from |
/// | `TEAM_ADDRESS` | `team@example.com` | who hears of registrations |
/// | `FILE_FOLDER` | `files` | where pictures and exports go |
/// | `SCHEDULES` | `on` | whether a worker decides the ticks of schedules: `on` or `off` |
/// | `WORKER_CONCURRENCY` | `16` | jobs at once |
/// | `WORKER_BEAT_MS` | `5000` | how often the worker says that it lives |
/// | `WORKER_FENCE_AFTER_MS` | `20000` | without a beat for so long it stops its own jobs |
/// | `WORKER_DEAD_AFTER_MS` | `30000` | without a beat for so long others take its jobs |
/// | `WORKER_MAINTENANCE_MS` | `5000` | how often the worker looks for such jobs |
/// | `SHUTDOWN_CANCEL_AFTER_MS` | `18000` | after a stop signal: when running jobs are cancelled |
/// | `SHUTDOWN_GIVE_BACK_AFTER_MS` | `23000` | … when they are given back |
/// | `SHUTDOWN_EXIT_AFTER_MS` | `25000` | … when the process ends in any case |
/// | `RUN_LEDGER` | none | file that gets a line for every attempt that starts |
/// | `LOG_LEVEL` | `info` | `trace` `debug` `info` `notice` `warning` `error` `critical` |
struct Settings: Sendable {
    var host: String
    var port: Int
    var role: Role
    var store: String?
    var database: String
    var durability: StoreDescription.Durability
    var mailFolder: URL
    var webhookURL: String?
    var mailFrom: String
    var teamAddress: String
    var fileFolder: URL
    var worker: WorkerConfiguration
    var runLedger: String?
    var logLevel: Logger.Level

    /// What a process does; several processes on one store share the work.
    enum Role: String, CaseIterable {
        case all, web, worker
    }

    /// Reads the settings.
    /// - Throws: ``StartError`` that names every key with a bad value and says what to write.
    init(_ config: ConfigReader) throws {
        var reader = SettingsReader(config)
        host = reader.text("HOST", default: "127.0.0.1")
        port = reader.integer("PORT", in: 0...65_535, default: 8080)
        role = reader.choice("ROLE", Role.allCases, named: \.rawValue, default: .all)
        store = reader.storeAddress("ERRAND_STORE")
        database = reader.text("DATABASE", default: "signup.db")
        durability = reader.choice("DURABILITY", [.powerLoss, .processCrash], named: \.rawValue, default: .powerLoss)
        mailFolder = URL(filePath: reader.text("MAIL_FOLDER", default: "mail"), directoryHint: .isDirectory)
        webhookURL = reader.webAddress("WEBHOOK_URL")
        mailFrom = reader.mailAddress("MAIL_FROM", default: "welcome@example.com")
        teamAddress = reader.mailAddress("TEAM_ADDRESS", default: "team@example.com")
        fileFolder = URL(filePath: reader.text("FILE_FOLDER", default: "files"), directoryHint: .isDirectory)
        worker = Self.worker(&reader)
        let schedules = reader.choice("SCHEDULES", [true, false], named: { $0 ? "on" : "off" }, default: true)
        if !schedules { worker.scheduler = nil }
        runLedger = reader.optionalText("RUN_LEDGER")
        logLevel = reader.choice("LOG_LEVEL", Logger.Level.allCases, named: \.rawValue, default: .info)
        try reader.finish()
        if let problem = worker.problem {
            throw StartError("The WORKER_… and SHUTDOWN_… settings do not fit: \(problem).")
        }
    }

    private static func worker(_ reader: inout SettingsReader) -> WorkerConfiguration {
        var worker = WorkerConfiguration()
        worker.concurrency = reader.integer("WORKER_CONCURRENCY", in: 1...10_000, default: worker.concurrency)
        worker.beatInterval = reader.milliseconds("WORKER_BEAT_MS", default: worker.beatInterval)
        worker.fenceAfter = reader.milliseconds("WORKER_FENCE_AFTER_MS", default: worker.fenceAfter)
        worker.deadAfter = reader.milliseconds("WORKER_DEAD_AFTER_MS", default: worker.deadAfter)
        worker.maintenanceInterval = reader.milliseconds("WORKER_MAINTENANCE_MS", default: worker.maintenanceInterval)
        worker.shutdown.cancelAfter = reader.milliseconds(
            "SHUTDOWN_CANCEL_AFTER_MS",
            default: worker.shutdown.cancelAfter
        )
        worker.shutdown.giveBackAfter = reader.milliseconds(
            "SHUTDOWN_GIVE_BACK_AFTER_MS",
            default: worker.shutdown.giveBackAfter
        )
        worker.shutdown.exitAfter = reader.milliseconds("SHUTDOWN_EXIT_AFTER_MS", default: worker.shutdown.exitAfter)
        return worker
    }

    /// Makes the folders that are not there yet.
    /// - Throws: ``StartError``.
    func makeFolders() throws {
        for (key, folder) in [("MAIL_FOLDER", mailFolder), ("FILE_FOLDER", fileFolder)] {
            do {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            } catch {
                throw StartError("\(key): the folder '\(folder.path)' cannot be made; name one that can be written.")
            }
        }
    }
}
