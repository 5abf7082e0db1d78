// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Errand
import Testing

@Suite("Settings of a worker")
struct WorkerConfigurationTests {
    @Test("every key of a worker's settings is read; what is absent keeps its default")
    func reading() throws {
        let values: [AbsoluteConfigKey: ConfigValue] = [
            "worker.concurrency": 8, "worker.readAhead": 0, "worker.threads": 3, "worker.pollIntervalMs": 1,
            "worker.idlePollIntervalMs": 2, "worker.beatIntervalMs": 3, "worker.fenceAfterMs": 40,
            "worker.deadAfterMs": 50, "worker.graceMs": 6, "worker.maintenanceIntervalMs": 7,
            "worker.noteIntervalMs": 8, "worker.blockingThresholdMs": 9, "worker.orphanAlarmAfterMs": 10,
            "worker.shutdown.cancelAfterMs": 11, "worker.shutdown.giveBackAfterMs": 12,
            "worker.shutdown.exitAfterMs": 13, "worker.version": "1.2",
        ]
        let reader = ConfigReader(provider: InMemoryProvider(values: values)).scoped(to: "worker")
        let read = try WorkerConfiguration(reader: reader)
        #expect((read.concurrency, read.readAhead, read.threads) == (8, 0, 3))
        let durations = [
            read.pollInterval, read.idlePollInterval, read.beatInterval, read.fenceAfter, read.deadAfter, read.grace,
            read.maintenanceInterval, read.noteInterval, read.blockingThreshold, read.orphanAlarmAfter,
            read.shutdown.cancelAfter, read.shutdown.giveBackAfter, read.shutdown.exitAfter,
        ]
        #expect(durations == [1, 2, 3, 40, 50, 6, 7, 8, 9, 10, 11, 12, 13].map(Duration.milliseconds))
        #expect(read.version == "1.2")
        let empty = try WorkerConfiguration(reader: ConfigReader(provider: InMemoryProvider(values: [:])))
        #expect(empty.concurrency == 16)
        #expect(empty.deadAfter == .seconds(30))
    }

    @Test(
        "a worker's setting that cannot be used is an error that names it",
        arguments: [("concurrency", "0"), ("graceMs", "soon"), ("fenceAfterMs", "9000"), ("shutdown.exitAfterMs", "1")]
    )
    func badValues(key: String, value: String) {
        let provider = InMemoryProvider(
            values: [AbsoluteConfigKey(key.split(separator: ".").map(String.init)): ConfigValue(stringLiteral: value)]
        )
        let error = #expect(throws: ErrandError.self) {
            try WorkerConfiguration(reader: ConfigReader(provider: provider))
        }
        #expect(error?.code == .invalidConfiguration)
        let setting = key.split(separator: ".").last.map { String($0).replacing("Ms", with: "") } ?? key
        #expect(error?.message.contains(setting) == true)
    }
}
