// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Foundation

/// The bytes of a file as a disk has them: what was flushed, and the changes since, in order.
struct VolatileFile {
    struct Change {
        enum Kind {
            case write(offset: Int, bytes: Data)
            case truncate(Int)
        }

        /// Its place among all changes of the disk.
        var number: Int
        var kind: Kind
    }

    /// What drives write as a whole; SQLite, too, relies on no more.
    static let sector = 512

    private(set) var flushed: Data = Data()
    private(set) var pending: [Change] = []

    init(flushed: Data = Data()) {
        self.flushed = flushed
    }

    mutating func add(_ change: Change) { pending.append(change) }

    mutating func flush() {
        for change in pending { Self.apply(change.kind, to: &flushed) }
        pending.removeAll(keepingCapacity: true)
    }

    /// What is there after the power went.
    func remains(_ survival: Survival, counting bytes: inout Survivors, using chance: inout SeededGenerator) -> Data {
        var content = flushed
        for change in pending {
            switch change.kind {
            case .truncate:
                let survives = survival.keeps(change.number, using: &chance)
                bytes.count(1, survived: survives)
                if survives { Self.apply(change.kind, to: &content) }
            case .write(let offset, let written):
                var start = 0
                while start < written.count {
                    let end = min(written.count, ((offset + start) / Self.sector + 1) * Self.sector - offset)
                    let survives = survival.keeps(change.number, using: &chance)
                    bytes.count(end - start, survived: survives)
                    if survives {
                        Self.apply(.write(offset: offset + start, bytes: Data(written[start..<end])), to: &content)
                    }
                    start = end
                }
            }
        }
        return content
    }

    private static func apply(_ change: Change.Kind, to content: inout Data) {
        switch change {
        case .truncate(let size): content.count = size
        case .write(let offset, let bytes):
            content.count = max(content.count, offset + bytes.count)
            content.withUnsafeMutableBytes { content in
                bytes.withUnsafeBytes { bytes in
                    let place = UnsafeMutableRawBufferPointer(rebasing: content[offset..<(offset + bytes.count)])
                    place.copyMemory(from: bytes)
                }
            }
        }
    }
}

/// Which changes that were not flushed survive a power cut.
enum Survival: Sendable, Equatable {
    /// None.
    case nothing
    /// Those before this one, and a part of it.
    case upTo(Int)
    /// Any sectors, in any order, each with this chance.
    case sectors(Double)

    func keeps(_ number: Int, using chance: inout SeededGenerator) -> Bool {
        switch self {
        case .nothing: false
        case .upTo(let last): number < last || (number == last && Bool.random(using: &chance))
        case .sectors(let share): Double.random(in: 0..<1, using: &chance) < share
        }
    }
}

/// How many unflushed bytes survived and how many did not.
struct Survivors: Equatable {
    private(set) var kept = 0
    private(set) var lost = 0

    /// Some did and some did not.
    var areTorn: Bool { kept > 0 && lost > 0 }

    mutating func count(_ bytes: Int, survived: Bool) {
        if survived { kept += bytes } else { lost += bytes }
    }
}
