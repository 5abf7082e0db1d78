// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Errand
import ErrandSQLite
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import Testing

@testable import Signup

/// The service in this process, on files in a temporary folder, and a client of it.
struct ServiceFixture: Sendable {
    let service: SignupService
    let client: any TestClientProtocol
    let folder: URL

    /// Runs `body` with a running service.
    ///
    /// By default background tasks run before the response, so that a response means they are done, and no schedule
    /// fires in the middle of a test. `environment` holds settings besides the folders.
    static func run<Value: Sendable>(
        _ setup: TestingSetup = .router,
        mode: BackgroundRunner.Mode = .immediate,
        environment: [String: String] = [:],
        _ body: @Sendable (ServiceFixture) async throws -> Value
    ) async throws -> Value {
        try await withTemporaryFolder { folder in
            let settings = try Settings(environment: environment, in: folder)
            try settings.makeFolders()
            let store = try SQLiteStore(
                path: settings.database,
                configuration: SQLiteConfiguration(durability: .processCrash)
            )
            let service = try SignupService(settings: settings, store: store, mode: mode)
            let value = try await service.application()
                .test(setup) { client in
                    try await body(ServiceFixture(service: service, client: client, folder: folder))
                }
            try await store.close()
            return value
        }
    }

    /// Sends a body as JSON, or as whatever `type` says.
    func post(_ uri: String, _ body: String, type: String? = "application/json") async throws -> Answer {
        try await post(uri, ByteBuffer(string: body), type: type)
    }

    /// The same with any bytes.
    func post(_ uri: String, _ body: ByteBuffer, type: String? = "application/json") async throws -> Answer {
        try await send(.post, uri, type: type, body)
    }

    func get(_ uri: String) async throws -> Answer { try await send(.get, uri, type: nil, nil) }

    /// Asks for something that needs no body, with these headers.
    func post(_ uri: String, headers: HTTPFields) async throws -> Answer {
        try await client.execute(uri: uri, method: .post, headers: headers) { Answer($0) }
    }

    func delete(_ uri: String) async throws -> Answer { try await send(.delete, uri, type: nil, nil) }

    /// Waits for the end of a job.
    func finished(_ id: String?) async throws -> JobRecord {
        let id = try #require(id.flatMap { JobID($0) })
        _ = try await JobHandle<ProcessText>(id: id, client: service.jobs).finished(timeout: .seconds(30))
        return try #require(try await service.jobs.job(id, parts: .all))
    }

    /// The mails that were delivered as files, by file name.
    func mails() throws -> [String: String] {
        let folder = service.settings.mailFolder
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        return try names.reduce(into: [:]) { mails, name in
            mails[name] = String(decoding: try Data(contentsOf: folder.appending(path: name)), as: UTF8.self)
        }
    }

    private func send(
        _ method: HTTPRequest.Method,
        _ uri: String,
        type: String?,
        _ body: ByteBuffer?
    ) async throws -> Answer {
        let headers: HTTPFields = type.map { [.contentType: $0] } ?? [:]
        return try await client.execute(uri: uri, method: method, headers: headers, body: body) { Answer($0) }
    }
}

extension Settings {
    /// Settings with everything in one folder and this environment.
    init(environment: [String: String] = [:], in folder: URL) throws {
        var environment = ["SCHEDULES": "off"].merging(environment) { $1 }
        for (key, name) in [("DATABASE", "signup.db"), ("MAIL_FOLDER", "mail"), ("FILE_FOLDER", "files")] {
            environment[key] = folder.appending(path: name).path
        }
        try self.init(ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: environment)))
    }
}
