// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation

extension Timestamp {
    /// As answers and mails write it: `2026-11-21T12:22:58.779Z`.
    var text: String { date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)) }
}
