// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Which release of a program declares its schedules: a number that grows with each.
///
/// While releases overlap in a rolling deploy, the newest one's definitions stay, whichever process starts last.
public struct BuildStamp: Sendable, Hashable, Comparable {
    /// The number.
    public let number: Int64

    /// A number of your own, as of a build server or a count of commits.
    public static func monotonic(_ number: Int64) -> BuildStamp { BuildStamp(number: number) }

    /// When the program's file was last written, in seconds since 1970: its build's time, unless it was copied without
    /// its times. 0 when the file cannot be found.
    public static let executable = BuildStamp(number: modificationTime())

    public static func < (lhs: BuildStamp, rhs: BuildStamp) -> Bool { lhs.number < rhs.number }

    private static func modificationTime() -> Int64 {
        guard let path = Bundle.main.executablePath,
            let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            let date = attributes[.modificationDate] as? Date
        else { return 0 }
        return Int64(date.timeIntervalSince1970)
    }
}
