// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import RedisWire

/// How a ``RedisStore`` uses its server.
public struct RedisStoreConfiguration: Sendable {
    /// The name of the deployment: all its keys begin with `{errand:NAME}:`, so that several share a server without meeting,
    /// and all lie in one slot. `default`. Letters, digits, `-`, `_` and `.`, at most 64.
    public var name = "default"

    /// How the server proves who it is when the URL asks for TLS.
    public var tls = RedisTLS()

    /// How long one command may take. A call that was sent and not answered by then ends with
    /// ``/ErrandCore/StoreError/Code/outcomeUnknown``. 5 s.
    public var commandTimeLimit: Duration = .seconds(5)

    /// The most commands that wait for their answer; further callers wait. 1,024.
    public var commandsInFlight = 1024

    /// The most jobs that one script stores, starts or ends; larger calls use several, so that the server is never kept from
    /// others for more than some milliseconds. 500.
    public var jobsPerScript = 500

    /// The most bytes of jobs that one script stores or reads; one job may be larger. 4 MiB.
    public var bytesPerScript = 4 << 20

    /// How this process hears that another one wrote.
    public var wakeUp = WakeUp.push

    /// How this process hears that another one wrote.
    public enum WakeUp: Sendable, Hashable {
        /// The server tells it over a connection of its own, within a fraction of a millisecond. Workers also poll, because
        /// messages may be lost.
        case push
        /// Not at all; workers and waiting callers find out when they poll.
        case poll
    }

    /// Which dialect is spoken; ``/RedisWire/RedisConfiguration/Dialect/resp2`` for a proxy that knows no other.
    public var dialect = RedisConfiguration.Dialect.newest

    /// The defaults.
    public init() {}

    /// The defaults for the deployment of this name.
    public init(name: String) {
        self.name = name
    }

    /// What is wrong with it, as a sentence; `nil` when it can be used.
    var problem: String? {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        if name.isEmpty || name.utf8.count > 64 || !isPlain {
            return "the deployment's name '\(name)' is not usable; write 1 to 64 letters, digits, '-', '_' or '.'"
        }
        return nil
    }
}
