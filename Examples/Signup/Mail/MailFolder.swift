// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Delivers mail as files: `<id>.eml`, the way a local delivery agent would.
///
/// A file appears whole or not at all, and delivering a mail again replaces the file by an equal one.
struct MailFolder: MailTransport {
    let folder: URL

    func deliver(_ mail: Mail) async throws {
        let name = MailHeader.token(mail.id) + ".eml"
        // Atomic: written under another name, then renamed.
        try Data(mail.message().utf8).write(to: folder.appending(path: name), options: .atomic)
    }
}
