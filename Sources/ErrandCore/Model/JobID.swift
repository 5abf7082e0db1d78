// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The identity of a job: a UUID of version 7, so that ids sort by the time they were made.
///
/// The client makes it, not the store: a retry after an unknown commit reuses the id and cannot store the
/// job twice. RFC 9562 section 5.7 gives the layout.
public struct JobID: Sendable, Hashable, Comparable {
    /// The first eight bytes: 48 bits of Unix milliseconds, the version, 12 random bits.
    public let high: UInt64
    /// The last eight bytes: the variant and 62 random bits.
    public let low: UInt64

    /// An id from its two halves as ``high`` and ``low`` gave them.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new id. Time and chance are arguments, so that a seeded test gets the same ids again.
    public init(at now: Timestamp, using generator: inout some RandomNumberGenerator) {
        let milliseconds = UInt64(clamping: now.milliseconds) & 0xFFFF_FFFF_FFFF
        let random: UInt64 = generator.next()
        high = milliseconds << 16 | 0x7000 | (random & 0x0FFF)
        low = 0x8000_0000_0000_0000 | (generator.next() & 0x3FFF_FFFF_FFFF_FFFF)
    }

    /// When the id was made, to the millisecond, by the clock of the enqueuing process.
    public var madeAt: Timestamp {
        Timestamp(microseconds: Int64(high >> 16) * 1000)
    }

    public static func < (lhs: JobID, rhs: JobID) -> Bool {
        (lhs.high, lhs.low) < (rhs.high, rhs.low)
    }
}

extension JobID {
    /// The id as 16 bytes, most significant first.
    public var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 16) { buffer, count in
            for index in 0..<8 {
                buffer[index] = UInt8(truncatingIfNeeded: high >> UInt64(56 - 8 * index))
                buffer[8 + index] = UInt8(truncatingIfNeeded: low >> UInt64(56 - 8 * index))
            }
            count = 16
        }
    }

    /// The id in these 16 bytes; `nil` for any other number of bytes. The version is not checked, so that
    /// ids brought from another system survive.
    public init?(bytes: some Collection<UInt8>) {
        // Bytes that lie together are read as two numbers: one by one they cost a call each in a module that cannot see
        // through `Collection`, which was a sixth of a worker's time.
        let numbers = bytes.withContiguousStorageIfAvailable { bytes -> (high: UInt64, low: UInt64)? in
            guard bytes.count == 16 else { return nil }
            let raw = UnsafeRawBufferPointer(bytes)
            return (
                UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        if let numbers {
            guard let (high, low) = numbers else { return nil }
            self.init(high: high, low: low)
            return
        }
        guard bytes.count == 16 else { return nil }
        var (high, low): (UInt64, UInt64) = (0, 0)
        for (index, byte) in bytes.enumerated() {
            if index < 8 { high = high << 8 | UInt64(byte) } else { low = low << 8 | UInt64(byte) }
        }
        self.init(high: high, low: low)
    }
}

extension JobID: LosslessStringConvertible {
    /// The 36-character lower-case form, `0192f3c4-…`.
    public var description: String {
        let digits: StaticString = "0123456789abcdef"
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var position = 0
            digits.withUTF8Buffer { digits in
                for (index, byte) in bytes.enumerated() {
                    if index == 4 || index == 6 || index == 8 || index == 10 {
                        buffer[position] = UInt8(ascii: "-")
                        position += 1
                    }
                    buffer[position] = digits[Int(byte >> 4)]
                    buffer[position + 1] = digits[Int(byte & 15)]
                    position += 2
                }
            }
            return position
        }
    }

    /// The id in this text: 32 hexadecimal digits, with or without hyphens, in any case; else `nil`.
    public init?(_ description: String) {
        var bytes: [UInt8] = []
        var half: UInt8?
        for character in description.utf8 where character != UInt8(ascii: "-") {
            guard let digit = Character(Unicode.Scalar(character)).hexDigitValue.map(UInt8.init) else { return nil }
            if let first = half {
                bytes.append(first << 4 | digit)
                half = nil
            } else {
                half = digit
            }
        }
        guard half == nil else { return nil }
        self.init(bytes: bytes)
    }
}

extension JobID: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = JobID(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not a job id")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
