// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import Foundation
import Testing

@testable import Signup

@Suite("Mails are real messages")
struct MailTests {
    private func mail(name: String = "Ada", subject: String = "Hello", text: String = "Hi", id: String = "1") -> Mail {
        Mail(
            id: id,
            from: Mail.Mailbox(name: "Signup", address: "welcome@example.com"),
            to: Mail.Mailbox(name: name, address: "ada@example.com"),
            subject: subject,
            text: text,
            date: Timestamp(microseconds: 1_795_262_400_000_000)
        )
    }

    /// The headers, unfolded, by name; a header that appears twice fails the test.
    private func headers(_ message: String) throws -> [String: String] {
        let end = try #require(message.range(of: "\r\n\r\n"))
        let lines = message[..<end.lowerBound].replacing("\r\n ", with: " ").split(separator: "\r\n")
        return try lines.reduce(into: [:]) { headers, line in
            let parts = line.split(separator: ":", maxSplits: 1)
            try #require(parts.count == 2 && headers[String(parts[0])] == nil, "\(line)")
            headers[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces)
        }
    }

    /// Text with its encoded words decoded, as a mail reader shows it.
    private func decoded(_ header: String) throws -> String {
        try header.split(separator: " ")
            .map { word in
                #expect(word.utf8.count <= 75)
                guard word.hasPrefix("=?UTF-8?B?"), word.hasSuffix("?=") else { return String(word) }
                let data = try #require(Data(base64Encoded: String(word.dropFirst(10).dropLast(2))))
                return try #require(String(bytes: data, encoding: .utf8), "a word splits a character")
            }
            .joined()
    }

    @Test("a message has the headers that RFC 5322 wants, in their form")
    func plain() throws {
        let message = try mail().message()
        let headers = try headers(message)
        #expect(headers["Date"] == "Sat, 21 Nov 2026 12:00:00 +0000")
        #expect(headers["From"] == "\"Signup\" <welcome@example.com>")
        #expect(headers["To"] == "\"Ada\" <ada@example.com>")
        #expect(headers["Subject"] == "Hello")
        #expect(headers["Message-ID"] == "<1@example.com>")
        #expect(headers["MIME-Version"] == "1.0")
        #expect(message.hasSuffix("\r\n\r\nHi\r\n"))
        #expect(!message.replacing("\r\n", with: "").contains { $0 == "\r" || $0 == "\n" })
    }

    @Test(
        "names and subjects in any script arrive as they were, in ASCII lines of at most 76 characters",
        arguments: [
            "Žofie Dvořáková", "山田 太郎", "مُحَمَّد", "👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦 family", "=?UTF-8?B?ZXZl?=",
            String(repeating: "ü", count: 90), String(repeating: "long ", count: 18),
        ]
    )
    func otherScripts(text: String) throws {
        let message = try mail(name: text, subject: text).message()
        let head = message.components(separatedBy: "\r\n\r\n")[0]
        #expect(head.utf8.allSatisfy { $0 < 0x80 })
        #expect(head.components(separatedBy: "\r\n").allSatisfy { $0.utf8.count <= 76 })
        let headers = try headers(message)
        #expect(try decoded(try #require(headers["Subject"])) == text)
        let phrase = try #require(headers["To"]).replacing(" <ada@example.com>", with: "")
        #expect(try decoded(phrase) == text)
    }

    @Test(
        "no text can add a header or end the head early",
        arguments: ["\r\n", "\n", "\r", "\u{0}", "\u{2028}", "\u{85}", "\u{B}"]
    )
    func injection(lineEnd: String) throws {
        let evil = "Eve\(lineEnd)Bcc: victim@example.com\(lineEnd)\(lineEnd)<script>"
        let message = try mail(name: evil, subject: evil, id: "1\(lineEnd)X: y").message()
        let headers = try headers(message)
        #expect(Set(headers.keys).isDisjoint(with: ["Bcc", "X"]))
        #expect(headers.count == 9)
        #expect(headers["Message-ID"] == "<1Xy@example.com>")
    }

    @Test(
        "an address that is none is refused and never tried again",
        arguments: ["ada", "a@b\r\nBcc: c@example.com", "<a@b.example>"]
    )
    func badAddress(address: String) {
        var mail = mail()
        mail.to.address = address
        let error = #expect(throws: MailError.self) { try mail.message() }
        #expect(error?.retryAdvice == .never)
    }

    @Test("a quote or backslash in a name is escaped")
    func quoting() throws {
        let headers = try headers(mail(name: #"Ada "the \ Countess""#).message())
        #expect(headers["To"] == #""Ada \"the \\ Countess\"" <ada@example.com>"#)
    }

    @Test(
        "the text arrives as it was, in lines of at most 76 ASCII characters",
        arguments: [
            "one\ntwo", "tail \nblank\t", "a=b", "naïve café ☕️", String(repeating: "x", count: 300), "\n\n", ".",
            "From here",
            String(repeating: "é", count: 100),
        ]
    )
    func body(text: String) throws {
        let encoded = QuotedPrintable.encode(text)
        #expect(encoded.utf8.allSatisfy { $0 < 0x80 })
        let lines = encoded.components(separatedBy: "\r\n")
        #expect(lines.allSatisfy { $0.utf8.count <= 76 && !$0.hasSuffix(" ") && !$0.hasSuffix("\t") })
        #expect(decodeQuotedPrintable(encoded) == text + "\n")
    }

    /// Reads quoted-printable by another road than the encoder writes it.
    private func decodeQuotedPrintable(_ text: String) -> String {
        let joined = Array(text.replacing("=\r\n", with: "").replacing("\r\n", with: "\n").utf8)
        var bytes: [UInt8] = []
        var index = 0
        while index < joined.count {
            if joined[index] == UInt8(ascii: "="), index + 2 < joined.count {
                bytes.append(UInt8(String(decoding: joined[index + 1...index + 2], as: UTF8.self), radix: 16) ?? 0)
                index += 3
            } else {
                bytes.append(joined[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
