// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("Errors as they are stored")
struct StoredErrorTests {
    @Test("long texts are cut at a character and stay within their limit", arguments: ["x", "é", "😀", "👩‍👩‍👧‍👦"])
    func cut(character: String) {
        let text = String(repeating: character, count: 20_000)
        let error = StoredError(type: text, message: text, backtrace: text)
        #expect(error.type.utf8.count <= 200)
        #expect(error.message.utf8.count <= StoredError.messageLimit)
        #expect((error.backtrace?.utf8.count ?? .max) <= StoredError.backtraceLimit)
        for kept in [error.type, error.message] {
            #expect(kept.hasSuffix("…"))
            #expect(text.hasPrefix(kept.dropLast()))
        }
    }

    @Test("a text at the limit is kept whole")
    func whole() {
        let text = String(repeating: "x", count: StoredError.messageLimit)
        #expect(StoredError(type: "T", message: text).message == text)
    }

    @Test("NUL is shown, other characters are kept")
    func nul() {
        #expect(StoredError(type: "a\0", message: "\0b\0\u{1}").message == "␀b␀\u{1}")
        #expect(!StoredError(type: "a\0", message: "").type.utf8.contains(0))
    }

    @Test("errors that differ only in numbers have one fingerprint, others do not")
    func fingerprint() {
        func print(_ message: String, type: String = "T", name: JobName = "n") -> String {
            StoredError(type: type, message: message).fingerprint(of: name)
        }
        #expect(print("order 17 is late") == print("order 4711 is late"))
        #expect(print("order 17") != print("order x"))
        #expect(print("a") != print("a", type: "U"))
        #expect(print("a") != print("a", name: "m"))
        #expect(print("a").count == 16)
    }
}
