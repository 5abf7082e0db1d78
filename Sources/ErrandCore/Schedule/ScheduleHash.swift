// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The deterministic choices of schedules: the number for `H`, the delay of a tick. Every process gets the same.
package enum ScheduleHash {
    /// FNV-1a of the parts joined by U+001F, with the finalizer of MurmurHash3.
    package static func value(of parts: String...) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for (index, part) in parts.enumerated() {
            if index > 0 { hash = (hash ^ 0x1F) &* 0x100_0000_01b3 }
            for byte in part.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        hash = (hash ^ (hash >> 33)) &* 0xff51_afd7_ed55_8ccd
        hash = (hash ^ (hash >> 33)) &* 0xc4ce_b9fe_1a85_ec53
        return hash ^ (hash >> 33)
    }

    /// How long after its nominal time, in seconds since 1970, the job of a tick is ready: zero to `maximum`.
    package static func jitter(of schedule: String, nominal: Int64, maximum: Duration) -> Duration {
        scaled(value(of: schedule, "jitter", String(nominal)), to: maximum)
    }

    /// How long after each nominal time the jobs of a schedule are ready: zero to `maximum`.
    package static func stagger(of schedule: String, maximum: Duration) -> Duration {
        scaled(value(of: schedule, "stagger"), to: maximum)
    }

    private static func scaled(_ hash: UInt64, to maximum: Duration) -> Duration {
        let milliseconds = UInt64(max(maximum.wholeMicroseconds, 0) / 1000)
        let (high, low) = (hash >> 32).multipliedFullWidth(by: milliseconds + 1)
        return .milliseconds(Int64(clamping: high << 32 | low >> 32))
    }
}
