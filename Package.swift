// swift-tools-version: 6.2
import PackageDescription

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let tracing: Target.Dependency = .product(name: "Tracing", package: "swift-distributed-tracing")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdTesting: Target.Dependency = .product(name: "HummingbirdTesting", package: "hummingbird")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let inMemoryLogging: Target.Dependency = .product(name: "InMemoryLogging", package: "swift-log")
let metricsTestKit: Target.Dependency = .product(name: "MetricsTestKit", package: "swift-metrics")
let inMemoryTracing: Target.Dependency = .product(name: "InMemoryTracing", package: "swift-distributed-tracing")

let package = Package(
    name: "errand",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Errand", targets: ["Errand"]),
        .library(name: "ErrandCore", targets: ["ErrandCore"]),
        .library(name: "ErrandSQLite", targets: ["ErrandSQLite"]),
        .library(name: "ErrandPostgres", targets: ["ErrandPostgres"]),
        .library(name: "ErrandRedis", targets: ["ErrandRedis"]),
        .library(name: "ErrandHummingbird", targets: ["ErrandHummingbird"]),
        .library(name: "ErrandTesting", targets: ["ErrandTesting"]),
        .executable(name: "signup", targets: ["Signup"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.5.1"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
    ],
    targets: [
        .target(name: "ErrandCore", dependencies: [heap]),
        .target(
            name: "Errand",
            dependencies: ["ErrandCore", log, metrics, tracing, lifecycle, configuration, deque, heap]
        ),
        .target(
            name: "ErrandSQLite",
            dependencies: ["ErrandCore", grdb],
            resources: [.embedInCode("Migrations"), .embedInCode("Outbox/outbox.sql")]
        ),
        .systemLibrary(
            name: "CLibpq",
            pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"]), .brew(["libpq"])]
        ),
        .target(
            name: "ErrandPostgres",
            dependencies: ["ErrandCore", "CLibpq"],
            resources: [.embedInCode("Migrations"), .embedInCode("Outbox/outbox.sql")]
        ),
        .target(name: "RedisWire", dependencies: ["ErrandCore", nio, nioPosix, nioSSL, deque]),
        .target(
            name: "ErrandRedis",
            dependencies: ["ErrandCore", "RedisWire", nio, deque],
            resources: [.embedInCode("Scripts")]
        ),
        .target(name: "ErrandHummingbird", dependencies: ["Errand", hummingbird]),
        .target(name: "ErrandTesting", dependencies: ["Errand"]),
        .executableTarget(
            name: "Signup",
            dependencies: [
                "Errand", "ErrandSQLite", "ErrandPostgres", "ErrandRedis", "ErrandHummingbird", configuration,
                hummingbird, log, nio, nioHTTP1,
                httpTypes, lifecycle, unixSignals, asyncHTTPClient,
            ],
            path: "Examples/Signup"
        ),
        .testTarget(name: "ErrandCoreTests", dependencies: ["ErrandCore", "ErrandTesting"]),
        .testTarget(
            name: "ErrandTests",
            dependencies: ["Errand", "ErrandTesting", inMemoryLogging, metricsTestKit, inMemoryTracing]
        ),
        .target(name: "SpawnActions", path: "Tests/Support/SpawnActions"),
        .target(
            name: "TestServers",
            dependencies: ["ErrandCore", "SpawnActions", nio, nioPosix],
            path: "Tests/Support/TestServers"
        ),
        .testTarget(name: "TestServersTests", dependencies: ["TestServers", nio, nioPosix]),
        .testTarget(
            name: "StoreConformanceTests",
            dependencies: ["ErrandTesting", "ErrandSQLite", "ErrandPostgres", "ErrandRedis", "TestServers"]
        ),
        .testTarget(
            name: "ErrandPostgresTests",
            dependencies: ["Errand", "ErrandPostgres", "ErrandTesting", "TestServers", log]
        ),
        .testTarget(
            name: "RedisWireTests",
            dependencies: ["RedisWire", "ErrandCore", "ErrandTesting", "TestServers", nio, nioPosix]
        ),
        .testTarget(
            name: "ErrandRedisTests",
            dependencies: [
                "ErrandRedis", "RedisWire", "Errand", "ErrandSQLite", "ErrandTesting", "TestServers", grdb, log,
            ]
        ),
        .executableTarget(
            name: "TwinProcess",
            dependencies: ["Errand", "ErrandSQLite", log],
            path: "Tests/Support/TwinProcess"
        ),
        .testTarget(
            name: "ErrandSQLiteTests",
            dependencies: ["Errand", "ErrandSQLite", "ErrandTesting", "TwinProcess", grdb, log, subprocess]
        ),
        .executableTarget(
            name: "ChaosProcess",
            dependencies: ["Errand", "ErrandSQLite", "ErrandPostgres", "ErrandRedis", "ErrandTesting", log],
            path: "Tests/Support/ChaosProcess"
        ),
        .testTarget(name: "ChaosTests", dependencies: ["Errand", "ErrandTesting", "ChaosProcess", "TestServers"]),
        .testTarget(
            name: "ErrandHummingbirdTests",
            dependencies: [
                "ErrandHummingbird", "ErrandTesting", hummingbirdTesting, inMemoryLogging, metricsTestKit,
                inMemoryTracing,
            ]
        ),
        .testTarget(name: "ErrandTestingTests", dependencies: ["ErrandTesting"]),
        .executableTarget(
            name: "StarvedProcess",
            dependencies: ["Errand", "ErrandSQLite", "ErrandTesting", log, metrics, metricsTestKit],
            path: "Tests/Support/StarvedProcess"
        ),
        .testTarget(name: "StarvationTests", dependencies: ["StarvedProcess", subprocess]),
        .testTarget(name: "SimulationTests", dependencies: ["ErrandTesting", "Errand", log]),
        .testTarget(
            name: "SignupTests",
            dependencies: [
                "Signup", "ErrandTesting", "ErrandSQLite", configuration, log, hummingbird, hummingbirdTesting,
                httpTypes, nio,
                nioHTTP1, asyncHTTPClient, grdb, subprocess,
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

// One place for the settings of every target, tests included (docs/design.md, "Habits").
for target in package.targets where target.type != .system {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .treatAllWarnings(as: .error),
    ]
}
