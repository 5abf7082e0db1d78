// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Tracing

/// The road of a trace through the store: injected into the job when it is enqueued, linked from the span of
/// every attempt. A link, not a parent: a retry three days later is a trace of its own.
enum ErrandSpans {
    /// The current trace as text, for a job's ``NewJob/trace``; empty when there is none.
    static func carrier() -> [String: String] {
        guard let context = ServiceContext.current else { return [:] }
        var carrier: [String: String] = [:]
        InstrumentationSystem.instrument.inject(context, into: &carrier, using: DictionaryCarrier())
        return carrier
    }

    /// One span for one write of jobs, which becomes the origin of those that were prepared in the same trace; one
    /// that was prepared in another, or that an interceptor gave one, keeps it. None when nobody traces.
    static func enqueue<Value: Sendable>(
        _ jobs: [NewJob],
        _ body: ([NewJob]) async throws -> Value
    ) async throws -> Value {
        guard ServiceContext.current != nil else { return try await body(jobs) }
        let caller = carrier()
        return try await withSpan("errand.enqueue", ofKind: .producer) { span in
            span.attributes["errand.jobs"] = jobs.count
            if let first = jobs.first { span.attributes["errand.job.name"] = first.name.rawValue }
            let origin = carrier()
            guard origin != caller else { return try await body(jobs) }
            var jobs = jobs
            for index in jobs.indices where jobs[index].trace == caller { jobs[index].trace = origin }
            return try await body(jobs)
        }
    }

    /// One span for one attempt, linked to the span that enqueued the job. None when nobody traces.
    static func run<Value: Sendable>(
        _ record: JobRecord,
        _ body: (_ fail: (any Error) -> Void) async -> Value
    ) async -> Value {
        // To make a span that goes nowhere costs a small job a tenth of all it costs.
        if InstrumentationSystem.instrument is NoOpInstrument, ServiceContext.current == nil {
            return await body { _ in }
        }
        return await withSpan("run \(record.name)", context: .topLevel, ofKind: .consumer) { span in
            if span.isRecording {
                span.attributes["errand.job.id"] = record.id.description
                span.attributes["errand.job.queue"] = record.queue.rawValue
                span.attributes["errand.job.attempt"] = record.attempt
            }
            if !record.trace.isEmpty {
                var origin = ServiceContext.topLevel
                InstrumentationSystem.instrument.extract(record.trace, into: &origin, using: DictionaryCarrier())
                span.addLink(SpanLink(context: origin, attributes: [:]))
            }
            return await body { error in
                span.recordError(error)
                span.setStatus(SpanStatus(code: .error))
            }
        }
    }
}

/// Trace headers live in a plain dictionary.
private struct DictionaryCarrier: Injector, Extractor {
    func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) {
        carrier[key] = value
    }

    func extract(key: String, from carrier: [String: String]) -> String? {
        carrier[key]
    }
}
