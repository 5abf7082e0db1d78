// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand

/// One thing that happened in a run that is to be checked: to a call of the store, to a row, to a handler.
package struct HistoryEvent: Sendable {
    /// What happened.
    package indirect enum What: Sendable {
        /// A call set out. One that never gets further is unknown for ever.
        case invoked(call: Int, StoreRequest)
        /// A call had its effect, with this answer, whether or not the caller hears it. Twice when it was repeated.
        case effect(call: Int, StoreReply)
        /// The caller heard the answer.
        case answered(call: Int)
        /// The caller heard an error.
        case failed(call: Int, StoreError.Code)
        /// A row changed within the effect of a call; `nil` is a row that is not there.
        case changed(call: Int, before: JobRecord?, after: JobRecord?)
        /// An enqueue told its caller that this job does the work.
        case acknowledged(requested: JobID, job: JobID)
        /// Somebody waited for the end of this job and was told this.
        case awaited(JobID, JobState)
        /// A handler began under this lease, with a payload of this digest.
        case started(Lease, payload: UInt64)
        /// It came to its end.
        case ended(Lease, String)
        /// Something was made to go wrong; the first word names the kind.
        case fault(String)
        /// A process died with these workers.
        case crashed([WorkerID])
        /// Nothing goes wrong from here on.
        case healed
        /// A worker was told to stop; its process had nothing else to do afterwards.
        case stopping
        /// Its `run()` returned.
        case stopped
    }

    /// The true time of day.
    package let at: Timestamp
    /// Time since the start.
    package let uptime: Duration
    /// Where it happened; 0 is the store itself.
    package let process: Int
    package let what: What

    package init(at: Timestamp, uptime: Duration, process: Int, what: What) {
        self.at = at
        self.uptime = uptime
        self.process = process
        self.what = what
    }
}

/// A call of a store with what it was given.
package enum StoreRequest: Sendable {
    case insert([NewJob], offer: ClaimOffer?)
    case register(WorkerRegistration)
    case retire(WorkerID)
    case claim(ClaimRequest)
    case beat(Beat)
    case settle([Settlement])
    case note([LeaseNote])
    case controls([ControlChange])
    case operate(Operation)
    case maintain(MaintenanceTask)
    case schedules([ScheduleChange])
    /// Any call that only reads.
    case read
}

/// The answer of a store.
package enum StoreReply: Sendable {
    case insert([InsertAnswer])
    case claim(ClaimAnswer)
    case beat(BeatAnswer)
    case settle([SettleAnswer])
    case note([Bool])
    case operate(OperationReport)
    case maintain(MaintenanceReport)
    case schedules([ScheduleChangeAnswer])
    /// An answer without content, or one that no check asks for.
    case done
}

extension Payload {
    /// A number that equal bytes share; the same in every process.
    package var digest: UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }
}
