// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Encoded arguments or an encoded result: bytes, what they are, and the version of the type that wrote them.
///
/// The machinery never looks inside. The bytes a handler sees are the bytes that were enqueued, in every
/// engine and after any number of retries.
public struct Payload: Sendable, Hashable {
    /// How bytes are encoded. A store keeps the word and does not interpret it.
    public struct Format: Sendable, Hashable, RawRepresentable {
        /// The word as stored.
        public let rawValue: String

        /// A format by its stored word.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// UTF-8 JSON; the default.
        public static let json = Format(rawValue: "json")
    }

    /// The encoded value.
    public var bytes: [UInt8]
    /// How it is encoded.
    public var format: Format
    /// The version of the job type that encoded it, from 1.
    public var version: Int

    /// A payload of these bytes.
    public init(bytes: [UInt8], format: Format = .json, version: Int = 1) {
        self.bytes = bytes
        self.format = format
        self.version = version
    }

    /// The largest payload a client accepts unless configured otherwise: 1 MiB.
    public static let defaultLimit = 1 << 20

    /// The largest result that is kept with a job: 256 KiB. What is larger belongs elsewhere, with a reference to it
    /// as the result: every look at the job would read it.
    public static let resultLimit = 256 << 10
}

extension Payload: Codable {
    private enum CodingKeys: String, CodingKey {
        case text
        case bytes
        case format
        case version
    }

    /// Reads what ``encode(to:)`` wrote.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let text = try container.decodeIfPresent(String.self, forKey: .text)
        self.init(
            bytes: try text.map { Array($0.utf8) } ?? container.decode([UInt8].self, forKey: .bytes),
            format: try container.decodeIfPresent(String.self, forKey: .format).map(Format.init) ?? .json,
            version: try container.decode(Int.self, forKey: .version)
        )
    }

    /// Writes bytes that are a text as one, which nearly all are, and others as numbers.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        if let text = String(validating: bytes, as: UTF8.self) {
            try container.encode(text, forKey: .text)
        } else {
            try container.encode(bytes, forKey: .bytes)
        }
        if format != .json { try container.encode(format.rawValue, forKey: .format) }
        try container.encode(version, forKey: .version)
    }
}
