// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What stands in a row of an outbox's table, which anybody may have written.
package struct OutboxRow {
    package var id: String
    package var name: String
    package var payload: String?
    package var options: String?
    /// All of a job that the library added, instead of the two before.
    package var job: String?

    package init(id: String, name: String, payload: String?, options: String?, job: String?) {
        (self.id, self.name, self.payload, self.options, self.job) = (id, name, payload, options, job)
    }

    /// The job it asks for, or why it is none. What reads JSON comes from outside: this module has no library for it.
    package func read(
        job decodeJob: (String) throws -> NewJob,
        options decodeOptions: (String) throws -> OutboxOptions
    ) -> Result<NewJob, StoreError> {
        guard let id = JobID(id) else {
            return .failure(StoreError(.invalid, "the id '\(id.prefix(40))' is no UUID"))
        }
        do {
            if let job {
                var whole = try decodeJob(job)
                whole.id = id
                return .success(whole)
            }
            let payload = Array((payload ?? "null").utf8)
            return .success(try decodeOptions(options ?? "{}").job(id: id, name: JobName(name), payload: payload))
        } catch {
            return .failure(StoreError(.invalid, "the row is no job; see its options", cause: error))
        }
    }
}

extension StoreError {
    /// Nothing but adding is possible in the transaction of an outbox.
    package static let notInOutbox = StoreError(
        .unsupported,
        "a running job cannot be ended in the transaction of an outbox: it is in another store; return from the handler"
    )
}
