// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// What a ``StoreTransfer`` has done so far.
public struct StoreTransferReport: Sendable, Hashable {
    /// Batches that arrived.
    public var batches = 0
    /// Jobs that arrived.
    public var jobs = 0
    /// Of these, jobs whose ids the destination had already; its rows were left alone.
    public var present = 0
    /// Of these, jobs that arrived without their unique key because another job of the destination has it. It happens only
    /// when clients enqueue the same key into both stores. They run all the same.
    public var keyless = 0
    /// Keys, audit lines and counters that belong to no job.
    public var records = 0
    /// Batches that the destination had taken in before, when an earlier transfer stopped between two calls.
    public var repeats = 0
    /// Jobs that the source still has: those that run, after ``StoreTransfer/pass(onBatch:)``, and those that its engine
    /// cannot read.
    public var left = 0

    /// Nothing done.
    public init() {}

    mutating func add(_ batch: ExportBatch, _ answer: ImportAnswer) {
        batches += 1
        jobs += batch.jobs.count
        present += answer.present.count
        keyless += answer.keyless.count
        records += batch.keys.count + batch.audit.count + batch.series.count
        if answer.isRepeat { repeats += 1 }
    }
}
