// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Foundation

extension Timestamp {
    /// The instant of a `Date`, to the microsecond; clamped to the representable range.
    public init(_ date: Date) {
        let microseconds = (date.timeIntervalSince1970 * 1e6).rounded()
        self.init(microseconds: Int64(exactly: microseconds) ?? (microseconds < 0 ? .min : .max))
    }

    /// The instant as a `Date`.
    public var date: Date {
        Date(timeIntervalSince1970: Double(microseconds) / 1e6)
    }
}

extension NewJob.Start {
    /// At this date; one in the past means now.
    public static func on(_ date: Date) -> NewJob.Start {
        .at(Timestamp(date))
    }
}
