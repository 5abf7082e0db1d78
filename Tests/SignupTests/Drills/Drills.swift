// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Testing

/// What happens to the service when its process is killed, stopped or paused: with the built program, real
/// sockets and real signals.
@Suite("Drills", .serialized)
struct Drills {}
