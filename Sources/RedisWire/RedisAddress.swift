// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Where a server is and how to come in, as a URL says it: `redis://user:password@host:6379/0`, `rediss://` with TLS.
public struct RedisAddress: Sendable, Hashable {
    /// The host's name or address.
    public var host: String
    /// 6379 when the URL names none.
    public var port: Int
    /// The ACL user; `nil` for the default one.
    public var user: String?
    /// The password; `nil` when none is needed.
    public var password: String?
    /// The number of the database.
    public var database: Int
    /// Whether the connection is encrypted and the server's name verified.
    public var usesTLS: Bool

    /// An address.
    public init(
        host: String,
        port: Int = 6379,
        user: String? = nil,
        password: String? = nil,
        database: Int = 0,
        usesTLS: Bool = false
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.database = database
        self.usesTLS = usesTLS
    }

    /// The address in a URL. User and password may be percent-encoded; an IPv6 address stands in brackets.
    /// - Throws: ``RedisURLProblem``, which says what is wrong with it and never quotes the password.
    public init(url: String) throws(RedisURLProblem) {
        guard let mark = url.range(of: "://") else {
            throw RedisURLProblem("the URL has no scheme; write redis://host:6379/0 or rediss:// for TLS")
        }
        switch url[..<mark.lowerBound].lowercased() {
        case "redis", "valkey": usesTLS = false
        case "rediss", "valkeys": usesTLS = true
        case let scheme:
            throw RedisURLProblem("the scheme '\(scheme)' is not known; write redis:// or rediss:// for TLS")
        }
        var rest = url[mark.upperBound...]
        if let end = rest.firstIndex(where: { $0 == "?" || $0 == "#" }) {
            throw RedisURLProblem("'\(rest[end...].prefix(20))' is not understood; options are given in code")
        }
        database = 0
        if let slash = rest.lastIndex(of: "/"), rest.lastIndex(of: "@").map({ $0 < slash }) ?? true {
            let path = rest[rest.index(after: slash)...]
            rest = rest[..<slash]
            if !path.isEmpty {
                guard let number = Int(path), number >= 0 else {
                    throw RedisURLProblem("the database '\(path)' is not a number; write /0 for the first")
                }
                database = number
            }
        }
        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            rest = rest[rest.index(after: at)...]
            let name = try Self.decoded(credentials[0], "user")
            user = name.isEmpty ? nil : name
            password = credentials.count > 1 ? try Self.decoded(credentials[1], "password") : nil
            if password?.isEmpty == true { password = nil }
            if user != nil, password == nil {
                throw RedisURLProblem("a user needs a password; write redis://user:password@host")
            }
        } else {
            (user, password) = (nil, nil)
        }
        (host, port) = try Self.place(rest)
    }

    private static func place(_ text: Substring) throws(RedisURLProblem) -> (String, Int) {
        var (name, digits) = (text, Substring())
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else {
                throw RedisURLProblem("the address '\(text)' lacks its closing bracket")
            }
            name = text[text.index(after: text.startIndex)..<end]
            digits = text[text.index(after: end)...]
        } else if let colon = text.firstIndex(of: ":") {
            name = text[..<colon]
            digits = text[colon...]
        }
        if name.isEmpty { throw RedisURLProblem("the URL names no host; write redis://host:6379/0") }
        if digits.isEmpty { return (String(name), 6379) }
        guard digits.first == ":", let port = Int(digits.dropFirst()), (1...65_535).contains(port) else {
            throw RedisURLProblem("'\(digits.dropFirst())' is not a port; give a number from 1 to 65535")
        }
        return (String(name), port)
    }

    private static func decoded(_ text: Substring, _ what: String) throws(RedisURLProblem) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let digits = String(rest.prefix(2)), digits.utf8.count == 2, let value = UInt8(digits, radix: 16)
            else {
                throw RedisURLProblem("the \(what) holds a '%' without two digits behind it; write %25 for '%'")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw RedisURLProblem("the \(what) is not UTF-8")
        }
        return decoded
    }
}

extension RedisAddress: CustomStringConvertible, CustomDebugStringConvertible {
    /// Host, port and database; never the password.
    public var description: String {
        "\(usesTLS ? "rediss" : "redis")://\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
    }

    /// The same.
    public var debugDescription: String { description }
}

/// What is wrong with a URL, as a sentence that says what to do.
public struct RedisURLProblem: Error, Sendable, Hashable, CustomStringConvertible {
    /// The sentence.
    public let description: String

    init(_ description: String) { self.description = description }
}

extension String {
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
