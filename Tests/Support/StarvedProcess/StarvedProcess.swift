// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation

/// A process of its own for one drill, because to starve the threads that all tests share would stop all tests.
///
/// Reads ``StarvationPlan`` from the environment, writes its log to standard error and ``StarvationFacts`` as one
/// line of JSON to standard output.
@main
enum StarvedProcess {
    static func main() {
        let never = ThreadGate()
        let pool = ThreadPool(threads: 2, name: "drill", clock: SystemClock.shared)
        // The drill itself needs no thread of the shared pool, or it could not look on.
        Task.detached(executorPreference: WorkLane(name: "drill", pool: pool)) {
            do {
                let plan = try StarvationPlan(ProcessInfo.processInfo.environment)
                let facts = try await StarvationDrill(plan).run()
                try FileHandle.standardOutput.write(contentsOf: JSONEncoder().encode(facts) + Data("\n".utf8))
                exit(0)
            } catch {
                try? FileHandle.standardError.write(contentsOf: Data("error: \(error)\n".utf8))
                exit(1)
            }
        }
        never.wait()
    }
}
