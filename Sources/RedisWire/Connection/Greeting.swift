// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What is said before the first command: who we are, which dialect, which database. Pure: answers in, commands out.
struct Greeting: Sendable {
    /// What comes next.
    enum Step: Sendable {
        /// Send this and come back with the answer.
        case send(RedisCommand)
        /// The connection can be used.
        case ready
        /// It cannot.
        case failed(RedisError)
    }

    private enum Stage {
        case hello
        case auth
        case name
        case select
        case done
    }

    private let address: RedisAddress
    private let name: String
    private var stage: Stage

    init(_ configuration: RedisConfiguration) {
        address = configuration.address
        name = configuration.name
        stage = configuration.dialect == .newest ? .hello : .auth
    }

    /// The first step.
    mutating func begin() -> Step {
        stage == .hello ? .send(hello) : authenticate()
    }

    /// The step after this answer.
    mutating func next(after answer: RESPValue) -> Step {
        guard case .error(let text) = answer else { return proceed() }
        let error = RedisError(answer: text)
        switch (stage, error.word) {
        case (.hello, "ERR"), (.hello, "NOPROTO"), (.hello, "NOPERM"):
            // A server or proxy that knows only RESP2.
            return authenticate()
        case (.auth, "ERR") where address.user != nil:
            return .failed(RedisError(.refused, "\(text): the server may be too old for users", word: "WRONGPASS"))
        case (.name, _):
            // For people who look at the server's list of connections; no reason to do without it.
            return proceed()
        default:
            return .failed(error)
        }
    }

    private mutating func proceed() -> Step {
        switch stage {
        case .hello, .name: return select()
        case .auth:
            stage = .name
            return .send(RedisCommand("CLIENT", "SETNAME", name))
        case .select, .done: return finish()
        }
    }

    private mutating func authenticate() -> Step {
        stage = .auth
        guard let password = address.password else { return proceed() }
        if let user = address.user { return .send(RedisCommand("AUTH", user, password)) }
        return .send(RedisCommand("AUTH", password))
    }

    private mutating func select() -> Step {
        guard address.database != 0 else { return finish() }
        stage = .select
        return .send(RedisCommand("SELECT", String(address.database)))
    }

    private mutating func finish() -> Step {
        stage = .done
        return .ready
    }

    private var hello: RedisCommand {
        var command = RedisCommand("HELLO", "3")
        if let password = address.password {
            command.append("AUTH")
            command.append(address.user ?? "default")
            command.append(password)
        }
        command.append("SETNAME")
        command.append(name)
        return command
    }
}
