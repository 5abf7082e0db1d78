// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// What processes tell each other over the channel: a letter, who says it, and what it is about.
enum RedisMessage {
    /// The messages about these effects.
    static func all(of effects: RedisEffects, origin: ByteBuffer) -> [ByteBuffer] {
        var messages: [ByteBuffer] = []
        if !effects.work.isEmpty {
            let names = effects.work.map(\.rawValue).joined(separator: "\0")
            messages.append(message("w", origin, ByteBuffer(string: names)))
        }
        if !effects.cancelled.isEmpty { messages.append(message("x", origin, ids(effects.cancelled))) }
        if !effects.finished.isEmpty { messages.append(message("f", origin, ids(effects.finished))) }
        if effects.controls { messages.append(message("c", origin, ByteBuffer())) }
        return messages
    }

    /// Tells this process what another one said; its own messages it has published itself.
    static func hear(_ message: ByteBuffer, origin: ByteBuffer, hub: LocalHub) {
        var message = message
        guard let letter = message.readInteger(as: UInt8.self), let from = message.readSlice(length: 16), from != origin
        else { return }
        switch letter {
        case UInt8(ascii: "w"):
            let names = String(buffer: message).split(separator: "\0", omittingEmptySubsequences: true)
            hub.publish(.work(Set(names.map { QueueName(String($0)) })))
        case UInt8(ascii: "f"):
            if hub.isWatched { hub.publishFinished(jobs(in: &message)) }
        case UInt8(ascii: "x"): hub.publish(.cancelled(jobs(in: &message)))
        case UInt8(ascii: "c"): hub.publish(.controls)
        // A newer build says something that this one does not know.
        default: hub.publish(.elsewhere)
        }
    }

    private static func message(_ letter: String, _ origin: ByteBuffer, _ rest: ByteBuffer) -> ByteBuffer {
        var message = ByteBuffer(string: letter)
        message.writeImmutableBuffer(origin)
        message.writeImmutableBuffer(rest)
        return message
    }

    private static func ids(_ jobs: [JobID]) -> ByteBuffer {
        var bytes = ByteBuffer()
        for job in jobs { bytes.write(job) }
        return bytes
    }

    private static func jobs(in message: inout ByteBuffer) -> [JobID] {
        var jobs: [JobID] = []
        while let high = message.readInteger(as: UInt64.self), let low = message.readInteger(as: UInt64.self) {
            jobs.append(JobID(high: high, low: low))
        }
        return jobs
    }
}

extension RedisEffects {
    /// Tells this process. Called after the commit.
    func publish(to hub: LocalHub) {
        if !work.isEmpty { hub.publish(.work(work)) }
        if !cancelled.isEmpty { hub.publish(.cancelled(cancelled)) }
        if controls { hub.publish(.controls) }
        if !finished.isEmpty { hub.publishFinished(finished) }
    }
}
