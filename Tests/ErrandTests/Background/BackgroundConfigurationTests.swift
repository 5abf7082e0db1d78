// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Errand
import ErrandCore
import Testing

@Suite struct BackgroundConfigurationTests {
    @Test("Every key is read; what is absent keeps its default")
    func reading() throws {
        let values: [AbsoluteConfigKey: ConfigValue] = [
            "concurrency": 8, "queueLimit": 9, "overflow": "shed", "tasksPerRequest": 10, "timeoutMs": 0,
            "executor": "shared", "drainMs": 1500, "trace": "link",
        ]
        let reader = ConfigReader(provider: InMemoryProvider(values: values))
        let configuration = try BackgroundRunnerConfiguration(reader: reader)
        #expect(configuration.concurrency == 8)
        #expect(configuration.queueLimit == 9)
        #expect(configuration.overflow == .shed)
        #expect(configuration.tasksPerRequest == 10)
        #expect(configuration.timeout == nil)
        #expect(configuration.executor == .shared)
        #expect(configuration.drain == .milliseconds(1500))
        #expect(configuration.trace == .link)
        #expect(configuration.blockingThreads == 16)
    }

    @Test("A value that cannot be used is an error that names its key", arguments: ["0", "-1", "many"])
    func badValues(value: String) {
        let provider = InMemoryProvider(values: ["concurrency": ConfigValue(stringLiteral: value)])
        let error = #expect(throws: ErrandError.self) {
            try BackgroundRunnerConfiguration(reader: ConfigReader(provider: provider))
        }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.hasPrefix("concurrency: '\(value)'") == true)
    }
}
