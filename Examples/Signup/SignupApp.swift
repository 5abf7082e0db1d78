// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Errand
import ErrandSQLite
import Foundation
import Hummingbird
import Logging
import NIOCore

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
        let application = service.application { port in
            let address = "http://\(settings.host):\(port)"
            FileHandle.standardOutput.write(Data("signup: ready on \(address)\n".utf8))
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
        try await store.close()
    }

    private static func openStore(_ settings: Settings) throws -> SQLiteStore {
        try SQLiteStore(
            path: settings.database,
            configuration: SQLiteConfiguration(durability: settings.durability)
        )
    }
}
