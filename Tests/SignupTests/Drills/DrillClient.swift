// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Errand
import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import Signup

/// An HTTP client with keep-alive connections for the drills.
struct DrillClient: Sendable {
    private let http: HTTPClient

    /// Runs `body` with a client of at most this many connections per server.
    static func run<Value: Sendable>(
        connections: Int,
        _ body: (DrillClient) async throws -> Value
    ) async throws -> Value {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        configuration.connectionPool.retryConnectionEstablishment = false
        let http = HTTPClient(configuration: configuration)
        do {
            let value = try await body(DrillClient(http: http))
            try await http.shutdown()
            return value
        } catch {
            try? await http.shutdown()
            throw error
        }
    }

    /// A job that takes this long; its id, once the server has said that it is stored.
    func process(_ url: String, text: String, seconds: Double) async throws -> JobID {
        var request = HTTPClientRequest(url: "\(url)/process")
        request.method = .POST
        request.headers = ["content-type": "application/json"]
        request.body = .bytes(ByteBuffer(string: #"{"text": "\#(text)", "seconds": \#(seconds)}"#))
        let (status, json) = try await send(request)
        guard status == 202, let id = json?["job"]?.string.flatMap({ JobID($0) }) else {
            throw UnexpectedAnswer(status: status)
        }
        return id
    }

    /// Asks for something to be done that needs no body.
    func post(_ url: String) async throws -> JSONValue {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        let (status, json) = try await send(request)
        guard let json else { throw UnexpectedAnswer(status: status) }
        return json
    }

    /// The JSON at this address.
    func get(_ url: String) async throws -> JSONValue {
        let (status, json) = try await send(HTTPClientRequest(url: url))
        guard let json else { throw UnexpectedAnswer(status: status) }
        return json
    }

    /// Asks until the answer is as wanted, at most 600 times, 50 ms apart: there is no other signal from a foreign
    /// process.
    func poll(_ url: String, until isDone: (JSONValue) -> Bool) async throws {
        var last: JSONValue?
        for _ in 0..<600 {
            last = try await get(url)
            if let last, isDone(last) { return }
            try await SystemClock.shared.sleep(for: .milliseconds(50))
        }
        Issue.record("\(url) is still \(String(describing: last))")
    }

    private func send(_ request: HTTPClientRequest) async throws -> (status: Int, json: JSONValue?) {
        let response = try await http.execute(request, timeout: .seconds(20))
        let body = try await response.body.collect(upTo: 1 << 20)
        let json = try? JSONDecoder().decode(JSONValue.self, from: Data(body.readableBytesView))
        return (Int(response.status.code), json)
    }
}

/// The server answered, but not as the drill needs it.
struct UnexpectedAnswer: Error {
    let status: Int
}
