// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// The service of the README and of "Getting started", whole.

// snippet.service
import Errand
import ErrandHummingbird
import ErrandSQLite
import Hummingbird

struct WelcomeEmail: Job {  // what to do: a value that can be stored
    static let name: JobName = "welcome-email"  // written out: it outlives renames of the type
    let address: String
}

let store = try SQLiteStore(path: "app.sqlite")
let jobs = JobClient(store: store)

var handlers = JobHandlers()  // how to do it: closures that capture what they need
handlers.add(WelcomeEmail.self) { email, _ in
    try await mailer.send("Welcome!", to: email.address)
}
let worker = Worker(store: store, handlers: handlers)

let router = Router()
router.post("register") { request, context -> HTTPResponse.Status in
    let user = try await request.decode(as: Registration.self, context: context)
    context.background.add("crm", attempts: 3) { try await crm.push(user.email) }  // after the response
    context.background.enqueue(WelcomeEmail(address: user.email))  // stored before it leaves
    return .created
}

let app = Application(router: router, background: BackgroundRunner(jobs: jobs), services: [worker])
try await app.runService()
try await store.close()
// snippet.end

struct Registration: Decodable { let email: String }

struct Mailer: Sendable {
    func send(_ text: String, to address: String) async throws {}
}

struct CRM: Sendable {
    func push(_ address: String) async throws {}
}

let mailer = Mailer()
let crm = CRM()
