// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    /// Bytes that engines have been known to change, cut or refuse.
    static let hostileTexts: [String] = [
        "", "\0", "a\0b", "😀👩‍👩‍👧‍👦e\u{301}", "'; DROP TABLE jobs; --", #"{"a":"\u0000"}"#, "\u{FEFF}x", "\r\n\t",
        "%s ? $1 :a",
        "-0.0", "9223372036854775807", String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000),
        String(repeating: "x", count: 1 << 20),
    ]

    /// Names without control characters that would hurt a store that does not bind its values.
    static let hostileNames: [String] = [
        "'; DROP TABLE job; --", "\"", "a%b_c", "{tag}", "*", "é😀", " ", "a b", "NULL", "-1", "a:b:c", "$1", "?1",
        String(repeating: "n", count: 200),
    ]

    static let payloadCases: [Case] = [
        Case("the bytes of a payload are the same after an insert, a claim, a retry and a rescue") { bench in
            for text in hostileTexts {
                let worker = try await bench.worker()
                var claimed = try await bench.run(bench.job(text: text), on: worker)
                let bytes = Array(text.utf8)
                bench.expect(claimed.record.payload.bytes == bytes, "claimed bytes of \(text.prefix(20)) changed")
                try await bench.ends(claimed.lease, .again(after: .zero), as: .ready)
                claimed = try await bench.take(worker)
                bench.expect(claimed.record.payload.bytes == bytes, "retried bytes of \(text.prefix(20)) changed")
                bench.clock.advance(by: .minutes(5))
                _ = try await bench.store.maintain(.rescue(silence: .seconds(30)))
                let record = try await bench.record(claimed.record.id)
                bench.expect(record.payload.bytes == bytes, "rescued bytes of \(text.prefix(20)) changed")
                try await bench.operate(.delete, record.id)
            }
        },
        Case("bytes that are not text are kept, with their format and version") { bench in
            let payload = Payload(bytes: (0...255).map { UInt8($0) }, format: .init(rawValue: "cbor"), version: 12)
            let id = try await bench.put(bench.job { $0.payload = payload })
            bench.equal(try await bench.record(id).payload, payload, "the payload")
            bench.equal(
                try await bench.record(id, []).payload,
                Payload(bytes: [], format: payload.format, version: 12),
                "the payload that was not asked for"
            )
        },
        Case("results, checkpoints and log lines keep their bytes") { bench in
            for text in hostileTexts {
                let worker = try await bench.worker()
                let claimed = try await bench.run(on: worker)
                let line = LogLine(at: bench.now, level: "info", message: text)
                let note = LeaseNote(lease: claimed.lease, lines: [line], checkpoints: ["c\u{301}'": .text(text)])
                bench.equal(try await bench.store.note([note]), [true], "the note")
                let noted = try await bench.record(claimed.record.id)
                bench.expect(noted.checkpoints == ["c\u{301}'": .text(text)], "a checkpoint changed")
                bench.expect(noted.log == [line], "a log line changed: \(text.prefix(20))")
                try await bench.ends(claimed.lease, .succeeded(result: .text(text)), as: .succeeded)
                let result = try await bench.record(claimed.record.id).result
                bench.expect(result == .text(text), "the result \(text.prefix(20)) changed")
            }
        },
        Case("hostile names, tags, headers and keys are data") { bench in
            for text in hostileNames {
                let name = JobName(text)
                let queue = QueueName(text)
                let worker = try await bench.worker([name: 1], queue: queue)
                let job = bench.job(name, queue: queue, unique: UniqueRule(key: text)) {
                    $0.tags = [text]
                    $0.headers = [text: text]
                    $0.trace = [text: text]
                }
                try await bench.put(job)
                bench.equal(
                    try await bench.insert(bench.job(unique: UniqueRule(key: text))).id,
                    job.id,
                    "the key's job"
                )
                let filter = JobFilter(names: [name], queues: [queue], tags: [text], uniqueKey: text)
                bench.equal(try await bench.all(filter).map(\.id), [job.id], "the jobs of \(text)")
                let claimed = try await bench.claim(worker, names: [name: 1], queues: [queue]).jobs
                bench.equal(claimed.map(\.record.id), [job.id], "the claimed jobs of \(text)")
                let record = try await bench.record(job.id)
                bench.equal(record.headers, [text: text], "the headers")
                bench.equal(record.trace, [text: text], "the trace")
            }
        },
        Case("hostile errors end a job like any other") { bench in
            let worker = try await bench.worker()
            for text in hostileTexts {
                let claimed = try await bench.run(on: worker)
                let error = StoredError(type: text, message: text, backtrace: text)
                try await bench.ends(claimed.lease, .failed(.permanent, error: error, timedOut: false), as: .failed)
                let record = try await bench.record(claimed.record.id)
                bench.equal(record.error, error, "the error")
                bench.equal(record.attempts.last?.error, error, "the attempt's error")
                bench.equal(record.fingerprint, error.fingerprint(of: "mail"), "the fingerprint")
            }
        },
        Case("header values with NUL and control characters are kept") { bench in
            let headers = ["a": "x\0y", "b": "\u{1}\u{1F}\n", "c": ""]
            let id = try await bench.put(bench.job { $0.headers = headers })
            bench.equal(try await bench.record(id).headers, headers, "the headers")
        },
        Case("names and keys that differ only in case are different") { bench in
            let worker = try await bench.worker(["Mail": 1])
            try await bench.put(bench.job("mail"))
            bench.equal(try await bench.claim(worker, names: ["Mail": 1]).jobs.count, 0, "claimed jobs of another case")
            try await bench.put(bench.job(unique: UniqueRule(key: "k")))
            bench.equal(
                try await bench.insert(bench.job(unique: UniqueRule(key: "K"))).id == nil,
                false,
                "a second key"
            )
            bench.equal(try await bench.store.counts().count(), 3, "jobs")
        },
    ]
}
