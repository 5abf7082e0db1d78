// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Errand
import ErrandPostgres
import ErrandRedis
import ErrandSQLite
import Foundation
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// The example service: answers at once, does the work afterwards, loses none of it.
@main
struct SignupApp {
    static func main() async {
        do {
            try await run()
        } catch {
            // What stops the start is told in words, on standard error, and by the exit code.
            FileHandle.standardError.write(Data("signup: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func run() async throws {
        let settings = try Settings(ConfigReader(provider: EnvironmentVariablesProvider()))
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = settings.logLevel
            return handler
        }
        try settings.makeFolders()
        let store = try openStore(settings)
        let service = try SignupService(settings: settings, store: store)
        switch settings.role {
        case .worker: try await work(service)
        case .all, .web: try await serve(service)
        }
        try await store.close()
    }

    /// Runs jobs, and nothing else, until a signal asks to stop.
    private static func work(_ service: SignupService) async throws {
        say("signup: works on the jobs that others store")
        let group = ServiceGroup(
            services: [service.worker],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: "signup")
        )
        try await group.run()
    }

    private static func serve(_ service: SignupService) async throws {
        let settings = service.settings
        let application = service.application { port in
            say("signup: ready on http://\(settings.host):\(port)")
        }
        do {
            try await application.runService()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            let other = settings.port < 65_535 ? settings.port + 1 : settings.port - 1
            throw StartError(
                "port \(settings.port) on \(settings.host) is in use: stop the program that has it (`ss -ltnp` or "
                    + "`lsof -i :\(settings.port)` names it) or choose another, for example PORT=\(other)"
            )
        }
    }

    private static func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

    private static func openStore(_ settings: Settings) throws -> any JobStore {
        guard let address = settings.store else {
            return try SQLiteStore(
                path: settings.database,
                configuration: SQLiteConfiguration(durability: settings.durability)
            )
        }
        return address.hasPrefix("redis") ? try RedisStore(url: address) : try PostgresStore(url: address)
    }
}
