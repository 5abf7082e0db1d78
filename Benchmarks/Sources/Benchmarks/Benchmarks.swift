// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Measures Errand against the limits of its engines, in one run, and prints a table and a JSON line per figure.
@main
struct Benchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Benchmarks",
        subcommands: [Measure.self, Soak.self, DrainChild.self, IdleChild.self, MemoryChild.self, ServeChild.self],
        defaultSubcommand: Measure.self
    )
}
