// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging

/// Adds facts to what is logged: of a job, of a background task.
///
/// They are put together when a line is written and not when the work starts: most work logs nothing, and handlers of
/// some backends do a lot for each fact that is set.
struct FactsLogHandler: LogHandler {
    private var base: any LogHandler
    private let facts: @Sendable () -> Logger.Metadata
    /// Somebody set metadata: from then on the facts are in `base`, so that what was set over them stays.
    private var isMerged = false

    /// - Parameters:
    ///   - base: What writes the lines.
    ///   - facts: What a line does not say itself is added to it, over what `base` has.
    init(_ base: any LogHandler, facts: @escaping @Sendable () -> Logger.Metadata) {
        self.base = base
        self.facts = facts
    }

    func log(event: LogEvent) {
        guard !isMerged else { return base.log(event: event) }
        var event = event
        event.metadata = facts().merging(event.metadata ?? [:]) { $1 }
        base.log(event: event)
    }

    var logLevel: Logger.Level {
        get { base.logLevel }
        set { base.logLevel = newValue }
    }

    var metadataProvider: Logger.MetadataProvider? {
        get { base.metadataProvider }
        set { base.metadataProvider = newValue }
    }

    var metadata: Logger.Metadata {
        get { isMerged ? base.metadata : base.metadata.merging(facts()) { $1 } }
        set {
            base.metadata = newValue
            isMerged = true
        }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { (isMerged ? nil : facts()[key]) ?? base[metadataKey: key] }
        set {
            if !isMerged { metadata = metadata }
            base[metadataKey: key] = newValue
        }
    }
}
