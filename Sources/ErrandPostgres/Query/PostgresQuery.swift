// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The statements for the roads on which something is decided in Swift; the others are functions in the migrations.
///
/// `errand.` stands for the schema of the deployment.
enum PostgresQuery: Int, CaseIterable {
    // Catalogue
    case identity, allLanes, findLane, addLane, laneOnItsOwn, nextBatch

    // Functions
    case insert, insertAndOffer, claim, peek, offer, rise, succeed, beat, fold

    // Rows
    case keysOfJobs, lockKeys, lockKeysFree, existingKeys
    case lockJobs, lockJobsWithPayload, lockJobsFree, lockJobsFreeWithPayload
    case jobs, jobsWithPayload, existingJobs, updateJob, updateDetails, updatePayload, placeOfJob, setAside
    case deleteJobs, deleteResults, deleteAttempts, deleteLog, deleteCheckpoints, deleteTagsOfJobs

    // Unique keys
    case takeKeys, keyByText, holderOfKey, putKey, setKeyFollowUp, setKeyState, deleteKey, expiredKeys

    // Parts
    case putResult, resultsOfJobs, putAttempt, trimAttempts, attemptsOfJobs, setProgress
    case putLines, trimLog, linesOfJobs, putCheckpoint, checkpointsOfJobs, putTags, deleteTags

    // Workers
    case putWorker, touchWorker, buryWorker, deleteWorkers, allWorkers, holders, runningOfWorker

    // Controls and audit
    case allControls, putControl, deleteControl, putAudit, auditByKey, newestAudit

    // Numbers
    case addDeltas, tallies, recount, counters, oldestReady, readyOfLane, manyDeltas

    // Lists
    case glances, glancesOfTag, glancesFailed, glancesRunning

    // Moves
    case lockMoves, openExport, putExport, deleteExport, readyLanes, readyAfter, glancesAfter, waitersOfJobs, keyRows
    case deleteKeys, noteEarly, putDepartures, deleteDepartures, putImport, orphanedKeys, takeAudit, lockDeltas,
        takeCounters
    case putJobs, putKeys, putAttempts, putAllLines, putCheckpoints, putResults, putTagsOfJobs, putAuditLines, putPauses

    // Schedules and decisions
    case schedules, dueSchedules, schedulesAfter, endsOfJobs, lockSchedules, addSchedules, putSchedules, deleteSchedules
    case ticksByKey, ticksWithin, ticksInto, takenTicks, putTicks, oldTicks, oldSchedules

    // Maintenance
    case isAnythingOver, isAnybodyLost, lateJobs, endedHolds, finishedBefore, oldestFinished, dueLanes, promote
    case expiredResults, oldCounters, oldReports, oldAudit, oldImports, oldDepartures

    static let select = "SELECT \(PostgresRow.columns(of: "j")), NULL::bytea FROM errand.jobs AS j"
    static let selectAll = "SELECT \(PostgresRow.columns(of: "j")), j.payload FROM errand.jobs AS j"
    static let glance =
        "SELECT j.id, j.lane, j.state, j.created_at, j.fingerprint, j.hold IS NOT NULL"

    /// All statements with the schema of a deployment in its quotes.
    static func statements(schema: String) -> [String] {
        allCases.map { PostgresMigrations.placed($0.sql, schema: schema) }
    }
}
