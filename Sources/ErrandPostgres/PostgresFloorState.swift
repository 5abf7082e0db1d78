// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Where the claims of this process begin in each lane: a rank before which nothing is ready but what is noted in `early`.
///
/// Without it a claim walks over every entry that was claimed since somebody's snapshot was opened, because PostgreSQL must
/// not clean up behind it. `007_floors.sql` says how a floor is raised.
struct PostgresFloorState {
    /// What is known of a lane.
    private struct Lane {
        var floor: Int64?
        /// The head that was set in the last step, if it was.
        var head: Int64?
        /// The highest rank of a job that was claimed since.
        var top: Int64?
    }

    /// The answer to a step.
    struct Risen: Sendable {
        var server: Int64?
        var writers: String?
        var lanes: [(lane: Int64, floor: Int64?, head: Int64?)] = []
    }

    /// So many claimed jobs are worth a step: walking over them costs about as much.
    static let stride = 2000
    /// How far the head stays behind what was claimed, so that writers that began a little earlier need not note anything.
    private static let slack: Int64 = 100_000
    /// The time between two looks from the front, and how much longer than a look it is at least.
    private static let lookBack: Duration = .seconds(300)
    private static let patience = 50

    private var lanes: [Int64: Lane] = [:]
    /// Which life of the server the floors are about; in another one they are void.
    private var server: Int64?
    /// The transactions that wrote while the heads were set.
    private var writers: String?
    private var claimed = 0
    private var isStepping = false
    private var beganAt: Duration = .zero
    private var looksBackAt: Duration?

    /// The server, lanes and floors as claims take them.
    var values: [PostgresValue] {
        let known = lanes.compactMap { lane, known in known.floor.map { (lane, $0) } }.sorted { $0.0 < $1.0 }
        guard !known.isEmpty else { return [.int(nil), .ints(nil), .ints(nil)] }
        return [.int(server), .ints(known.map(\.0)), .ints(known.map(\.1))]
    }

    func floor(of lane: Int64) -> Int64? { lanes[lane]?.floor }

    /// Counts claimed jobs.
    mutating func add(_ jobs: [(lane: Int64, rank: Int64)]) {
        claimed += jobs.count
        for job in jobs {
            lanes[job.lane, default: Lane()].top = max(lanes[job.lane]?.top ?? .min, job.rank)
        }
    }

    /// The next step, when enough was claimed and no other one is on its way.
    ///
    /// Now and then it looks from the front again, beside the claims: something may have been written in a way that nobody
    /// thought of.
    mutating func begin(at now: Duration) -> [PostgresValue]? {
        guard claimed >= Self.stride, !isStepping else { return nil }
        let tops = lanes.compactMap { lane, known in known.top.map { (lane, $0) } }.sorted { $0.0 < $1.0 }
        guard !tops.isEmpty else { return nil }
        isStepping = true
        claimed = 0
        beganAt = now
        let looksBack = looksBackAt.map { $0 <= now } ?? false
        if looksBack || looksBackAt == nil { looksBackAt = now + Self.lookBack }
        let set = lanes.filter { $0.value.head != nil }.sorted { $0.key < $1.key }
        for lane in lanes.keys { lanes[lane]?.top = nil }
        return [
            .int(server), .ints(set.map(\.key)), .ints(set.map { looksBack ? nil : $0.value.floor }),
            .ints(set.map(\.value.head)),
            .text(writers), .ints(tops.map(\.0)), .ints(tops.map { max($0.1, .min + Self.slack) - Self.slack }),
        ]
    }

    /// Ends a step. Without an answer the next one begins anew, and the floors stay where they are.
    mutating func end(_ risen: Risen?, at now: Duration) {
        isStepping = false
        looksBackAt = looksBackAt.map { max($0, now + (now - beganAt) * Self.patience) }
        for lane in lanes.keys { lanes[lane]?.head = nil }
        guard let risen else { return }
        if risen.server != server { for lane in lanes.keys { lanes[lane]?.floor = nil } }
        (server, writers) = (risen.server, risen.writers)
        for line in risen.lanes {
            if let floor = line.floor { lanes[line.lane, default: Lane()].floor = floor }
            if let head = line.head { lanes[line.lane, default: Lane()].head = head }
        }
    }
}

extension PostgresFloorState.Risen {
    /// Without rows no floor may be raised in sessions like this one.
    init(_ result: PostgresResult) {
        guard result.count > 0 else { return }
        server = result.int64(0, 0)
        writers = result.text(0, 1)
        lanes = (0..<result.count)
            .map { (result.int64($0, 2), result.optionalInt64($0, 3), result.optionalInt64($0, 4)) }
    }
}
