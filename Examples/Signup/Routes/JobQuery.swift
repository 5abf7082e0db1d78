// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import HTTPTypes
import HummingbirdCore

/// The query of `GET /jobs`: `state` and `name`, each as often as needed, `limit` and `after`.
struct JobQuery {
    private let parameters: Parameters
    private var errors: [Problem.Part] = []

    typealias Parameters = FlatDictionary<Substring, Substring>

    init(_ parameters: Parameters) { self.parameters = parameters }

    mutating func filter() -> JobFilter {
        var filter = JobFilter()
        for word in parameters[values: "state"] {
            if let state = JobState(word: String(word)) {
                filter.states.insert(state)
            } else {
                fail("state", "'\(word)' is none of \(JobState.allCases.map(\.word).joined(separator: ", "))")
            }
        }
        filter.names = Set(parameters[values: "name"].map { JobName(String($0)) })
        return filter
    }

    mutating func page() -> JobPageRequest {
        var (limit, after): (Int, JobID?) = (50, nil)
        if let text = parameters["limit"] {
            if let value = Int(text), (1...JobPageRequest.largest).contains(value) {
                limit = value
            } else {
                fail("limit", "must be a whole number from 1 to \(JobPageRequest.largest)")
            }
        }
        if let text = parameters["after"] {
            after = JobID(String(text))
            if after == nil { fail("after", "must be a job's id: the `next` of the page before") }
        }
        return JobPageRequest(after: after, limit: limit)
    }

    /// Ends the reading.
    /// - Throws: ``Problem`` with status 400 that names each wrong parameter.
    func finish() throws {
        if !errors.isEmpty { throw Problem(.badRequest, "The query cannot be understood.", errors: errors) }
    }

    private mutating func fail(_ name: String, _ detail: String) {
        errors.append(Problem.Part(parameter: name, detail: detail))
    }
}
