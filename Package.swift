// swift-tools-version: 6.2

import PackageDescription

// MARK: The module table

/// The layers, lowest first. A module may use its own layer and the ones below; `swift build` refuses an upward edge.
enum Layer: Int {
    case platform, virtualization, networking, images, sandbox, agents, orchestration, services, executables

    var folder: String { "\(self)".prefix(1).uppercased() + "\(self)".dropFirst() }
}

struct Module {
    enum Kind { case swift, generated, c, executable }

    let name: String
    let layer: Layer
    var kind = Kind.swift
    /// Carries the Swift runtime in itself, so that it starts without looking for libraries.
    var isSelfContained = false
    /// Modules of this package.
    var uses: [String] = []
    /// Products of other packages.
    var products: [Target.Dependency] = []
    /// Tests of the same name with the suffix `Tests`, where there are any.
    var tested = false
    /// What the tests use beside the module itself.
    var testUses: [String] = []
    /// Products of other packages that only the tests use.
    var testProducts: [Target.Dependency] = []
}

/// Tests of several modules together, in `Tests/<path>`.
struct Suite {
    let name: String
    let path: String
    let uses: [String]
}

let table: [Module] = [
    // Platform: no third-party code but swift-protobuf; usable in the guest.
    Module(name: "ByteCodec", layer: .platform, tested: true),
    Module(name: "CEarlyInit", layer: .platform, kind: .c),
    Module(name: "CLinux", layer: .platform, kind: .c),
    Module(name: "GuestAPI", layer: .platform, kind: .generated, products: [.protobuf]),
    Module(
        name: "Jail",
        layer: .platform,
        uses: ["LinuxSystem"],
        tested: true,
        testUses: ["LinuxSystem", "jail-probe"],
    ),
    Module(name: "LinuxSystem", layer: .platform, uses: ["CLinux"], tested: true),
    Module(name: "Primitives", layer: .platform, tested: true),
    Module(
        name: "TTRPC",
        layer: .platform,
        uses: ["ByteCodec", "LinuxSystem", "Primitives", "TTRPCMessages"],
        products: [.protobuf],
        tested: true,
        testUses: ["LinuxSystem", "TestSupport"],
    ),
    Module(name: "TTRPCMessages", layer: .platform, kind: .generated, products: [.protobuf]),

    // Virtualization: one virtual machine. The worker alone links these, but for the protocol it is spoken to with.
    Module(name: "CKVM", layer: .virtualization, kind: .c),
    Module(name: "KVM", layer: .virtualization, uses: ["CKVM", "LinuxSystem", "MachineMemory"]),
    Module(
        name: "LinuxBoot",
        layer: .virtualization,
        uses: ["ByteCodec", "LinuxSystem", "MachineMemory"],
        tested: true,
        testUses: ["ByteCodec", "LinuxSystem", "MachineMemory"],
    ),
    Module(
        name: "MachineMemory",
        layer: .virtualization,
        uses: ["LinuxSystem"],
        tested: true,
        testUses: ["LinuxSystem"],
    ),
    Module(
        name: "SharedFS",
        layer: .virtualization,
        uses: ["ByteCodec", "LinuxSystem"],
        tested: true,
        testUses: ["ByteCodec", "LinuxSystem"],
    ),
    Module(
        name: "Virtio",
        layer: .virtualization,
        uses: ["ByteCodec", "LinuxSystem", "MachineMemory"],
        tested: true,
        testUses: ["LinuxSystem", "MachineMemory", "VirtioDriver"],
    ),
    Module(
        name: "VirtioDevices",
        layer: .virtualization,
        uses: ["ByteCodec", "LinuxSystem", "MachineMemory", "Primitives", "SharedFS", "Virtio", "WorkerProtocol"],
        tested: true,
        testUses: [
            "LinuxSystem", "MachineMemory", "Primitives", "SharedFS", "Virtio", "VirtioDriver", "WorkerProtocol",
        ],
    ),
    Module(
        name: "VMM",
        layer: .virtualization,
        uses: [
            "Jail", "KVM", "LinuxBoot", "LinuxSystem", "MachineMemory", "SharedFS", "Virtio", "VirtioDevices",
            "WorkerProtocol",
        ],
    ),
    Module(
        name: "WorkerProtocol",
        layer: .virtualization,
        uses: ["ByteCodec", "Primitives"],
        tested: true,
        testUses: ["Primitives"],
    ),

    // Sandbox: a box and the backends that make one.
    Module(
        name: "GuestAgentCore",
        layer: .sandbox,
        uses: ["GuestAPI", "LinuxSystem", "Primitives", "TTRPC"],
        products: [.protobuf],
        tested: true,
        testUses: ["GuestAPI", "LinuxSystem", "TTRPC"],
    ),
    Module(
        name: "Sandboxing",
        layer: .sandbox,
        uses: ["GuestAPI", "LinuxSystem", "Primitives", "TTRPC"],
        products: [.protobuf],
        tested: true,
        testUses: ["GuestAPI", "LinuxSystem", "Primitives", "TestSupport"],
        testProducts: [.protobuf],
    ),
    Module(
        name: "SandboxKVM",
        layer: .sandbox,
        uses: ["Jail", "LinuxSystem", "Primitives", "Sandboxing", "WorkerProtocol"],
        tested: true,
        testUses: ["LinuxSystem", "Sandboxing"],
    ),
    Module(name: "SandboxMock", layer: .sandbox, uses: ["Primitives", "Sandboxing"]),
    Module(
        name: "SandboxQEMU",
        layer: .sandbox,
        uses: ["LinuxSystem", "Primitives", "Sandboxing"],
        tested: true,
        testUses: ["LinuxSystem", "Primitives", "Sandboxing"],
    ),

    // Agents: models, and the programs that talk to them.
    Module(
        name: "AgentRuntimes",
        layer: .agents,
        uses: ["JSONCoding", "JSONSchema", "Primitives", "Sandboxing", "Skills"],
        tested: true,
        testUses: ["JSONCoding", "JSONSchema", "Primitives", "SandboxMock", "Sandboxing", "Skills", "TestSupport"],
    ),
    Module(
        name: "BoxHTTP",
        layer: .agents,
        uses: ["LinuxSystem", "Primitives", "Sandboxing"],
        products: [.httpTypes, .hummingbirdCore, .log, .nioCore, .nioPosix],
    ),
    Module(name: "ClaudioCore", layer: .agents, uses: ["Primitives"], tested: true),
    Module(name: "JSONCoding", layer: .agents, uses: ["Primitives"]),
    Module(
        name: "JSONSchema",
        layer: .agents,
        uses: ["Primitives"],
        tested: true,
        testUses: ["JSONCoding", "Primitives"],
    ),
    Module(
        name: "MCPRelay",
        layer: .agents,
        uses: ["BoxHTTP", "JSONCoding", "LinuxSystem", "Primitives", "Sandboxing", "Skills"],
        products: [
            .asyncAlgorithms, .asyncHTTPClient, .httpTypes, .hummingbirdCore, .log, .nioCore, .nioHTTP1, .nioPosix,
        ],
        tested: true,
        testUses: ["HTTPSupport", "JSONCoding", "Primitives", "Sandboxing", "Skills"],
        testProducts: [.asyncHTTPClient, .httpTypes, .hummingbird, .log, .nioCore, .nioHTTP1],
    ),
    Module(
        name: "ModelBroker",
        layer: .agents,
        uses: ["BoxHTTP", "JSONCoding", "LinuxSystem", "ModelProviders", "Primitives", "Sandboxing"],
        products: [
            .asyncAlgorithms, .asyncHTTPClient, .httpTypes, .hummingbirdCore, .log, .nioCore, .nioHTTP1, .nioPosix,
            .yams,
        ],
        tested: true,
        testUses: [
            "BoxHTTP", "JSONCoding", "LinuxSystem", "ModelProviders", "Primitives", "Sandboxing", "HTTPSupport",
        ],
        testProducts: [
            .asyncAlgorithms, .asyncHTTPClient, .httpTypes, .hummingbird, .log, .nioCore, .nioHTTP1, .nioPosix,
        ],
    ),
    Module(
        name: "ModelProviders",
        layer: .agents,
        uses: ["JSONCoding", "LinuxSystem", "Primitives"],
        tested: true,
        testUses: ["Primitives"],
    ),

    Module(
        name: "SkillSources",
        layer: .agents,
        uses: ["LinuxSystem", "Primitives", "Skills"],
        products: [.asyncHTTPClient, .crypto, .nioCore, .nioHTTP1],
        tested: true,
        testUses: ["HTTPSupport", "JSONCoding", "Primitives", "Skills"],
        testProducts: [.crypto, .httpTypes, .hummingbird, .nioCore],
    ),
    Module(name: "Skills", layer: .agents, uses: ["LinuxSystem"], products: [.yams], tested: true),

    // Orchestration: what a specification asks for, carried out.
    Module(
        name: "Runs",
        layer: .orchestration,
        uses: [
            "AgentRuntimes", "JSONSchema", "LinuxSystem", "MCPRelay", "ModelBroker", "ModelProviders", "Primitives",
            "Sandboxing", "SkillSources", "Skills", "Spec", "Telemetry",
        ],
        products: [.log],
        tested: true,
        testUses: [
            "AgentRuntimes", "HTTPSupport", "LinuxSystem", "Primitives", "SandboxMock", "Sandboxing", "Spec",
            "Telemetry",
        ],
        testProducts: [.log],
    ),
    Module(
        name: "Spec",
        layer: .orchestration,
        uses: ["JSONCoding", "JSONSchema", "LinuxSystem", "ModelProviders", "Primitives", "Skills"],
        products: [.yams],
        tested: true,
        testUses: ["JSONSchema", "Primitives", "Skills"],
    ),

    Module(name: "Telemetry", layer: .orchestration, tested: true),

    // Services: what people and programs talk to.
    Module(
        name: "CommandLineTool",
        layer: .services,
        uses: [
            "AgentRuntimes", "HostSession", "LinuxSystem", "Primitives", "Runs", "SandboxKVM", "SandboxQEMU",
            "Sandboxing", "Spec",
        ],
        products: [.argumentParser, .log, .unixSignals],
        tested: true,
        testUses: ["HostSession", "LinuxSystem", "Primitives", "Sandboxing"],
    ),
    Module(
        name: "HostSession",
        layer: .services,
        uses: [
            "AgentRuntimes", "LinuxSystem", "OTLPExport", "Primitives", "Runs", "SandboxKVM", "SandboxMock",
            "SandboxQEMU", "Sandboxing", "Spec", "Telemetry",
        ],
        products: [.log, .unixSignals],
        tested: true,
    ),
    Module(
        name: "OTLPExport",
        layer: .services,
        uses: ["JSONCoding", "LinuxSystem", "Primitives", "Telemetry"],
        products: [.asyncHTTPClient, .log, .nioCore, .nioHTTP1],
        tested: true,
        testUses: ["HTTPSupport", "JSONCoding", "Primitives", "Telemetry"],
        testProducts: [.httpTypes, .hummingbird, .log],
    ),
    Module(
        name: "VoidBox",
        layer: .services,
        uses: [
            "AgentRuntimes", "HostSession", "JSONCoding", "LinuxSystem", "Primitives", "Runs", "Sandboxing", "Spec",
        ],
        products: [.asyncAlgorithms, .log],
        tested: true,
        testUses: ["JSONCoding", "Primitives", "SandboxMock", "Sandboxing", "Spec"],
    ),

    // Executables.
    Module(name: "claudio", layer: .executables, kind: .executable, uses: ["ClaudioCore"]),
    Module(name: "voidbox", layer: .executables, kind: .executable, uses: ["CommandLineTool"]),
    Module(
        name: "voidbox-guest",
        layer: .executables,
        kind: .executable,
        uses: ["CEarlyInit", "GuestAgentCore"],
    ),
    Module(
        name: "voidbox-vmm",
        layer: .executables,
        kind: .executable,
        isSelfContained: true,
        uses: ["VMM"],
    ),
]

let suites: [Suite] = [
    Suite(
        name: "SandboxContractTests",
        path: "Sandbox/SandboxContractTests",
        uses: [
            "LinuxSystem", "Primitives", "SandboxKVM", "SandboxMock", "SandboxQEMU", "Sandboxing", "TestSupport",
        ],
    ),
    Suite(
        name: "HostileGuestTests",
        path: "Sandbox/HostileGuestTests",
        uses: ["LinuxSystem", "Primitives", "SandboxKVM", "Sandboxing", "TestSupport", "WorkerProtocol"],
    ),
    Suite(
        name: "CommandLineTests",
        path: "Integration/CommandLineTests",
        uses: ["HTTPSupport", "LinuxSystem", "Spec", "TestSupport", "VoidBox", "voidbox", "voidbox-examples"],
    ),
]

// MARK: Rules that the manifest checks

/// Modules that only one other module may name.
let gates = ["CKVM": "KVM", "CLinux": "LinuxSystem"]

/// What only the worker of a machine links: everybody else spawns it.
let workerModules: Set = ["KVM", "LinuxBoot", "MachineMemory", "SharedFS", "VMM", "Virtio", "VirtioDevices"]

/// Modules that reach only the platform layer, because they run in the guest.
let guestModules: Set = ["ClaudioCore", "GuestAgentCore", "claudio", "voidbox-guest"]

func refuse(_ module: Module, _ dependency: String, _ why: String) -> Never {
    fatalError("Package.swift: \(module.name) must not use \(dependency): \(why)")
}

let layers = Dictionary(uniqueKeysWithValues: table.map { ($0.name, $0.layer) })

for module in table {
    for dependency in module.uses {
        guard let layer = layers[dependency] else { refuse(module, dependency, "there is no such module") }
        if layer.rawValue > module.layer.rawValue { refuse(module, dependency, "it is in a higher layer (\(layer))") }
        if workerModules.contains(dependency), layer == .virtualization, module.layer != .virtualization,
            module.name != "voidbox-vmm"
        {
            refuse(module, dependency, "it belongs to the process of a machine, which is spawned, not linked")
        }
        if let owner = gates[dependency], owner != module.name { refuse(module, dependency, "only \(owner) may") }
        if guestModules.contains(module.name), layer != .platform, !guestModules.contains(dependency) {
            refuse(module, dependency, "it runs in the guest, which has only the platform layer")
        }
    }
}

// MARK: Other packages

extension Target.Dependency {
    static let argumentParser: Self = .product(name: "ArgumentParser", package: "swift-argument-parser")
    static let asyncAlgorithms: Self = .product(name: "AsyncAlgorithms", package: "swift-async-algorithms")
    static let asyncHTTPClient: Self = .product(name: "AsyncHTTPClient", package: "async-http-client")
    static let crypto: Self = .product(name: "Crypto", package: "swift-crypto")
    static let httpTypes: Self = .product(name: "HTTPTypes", package: "swift-http-types")
    static let hummingbird: Self = .product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore: Self = .product(name: "HummingbirdCore", package: "hummingbird")
    static let log: Self = .product(name: "Logging", package: "swift-log")
    static let nioCore: Self = .product(name: "NIOCore", package: "swift-nio")
    static let nioHTTP1: Self = .product(name: "NIOHTTP1", package: "swift-nio")
    static let nioPosix: Self = .product(name: "NIOPosix", package: "swift-nio")
    static let protobuf: Self = .product(name: "SwiftProtobuf", package: "swift-protobuf")
    static let unixSignals: Self = .product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let yams: Self = .product(name: "Yams", package: "Yams")
}

let packages: [Package.Dependency] = [
    // Without traits it needs only FoundationEssentials, which keeps the guest agent small.
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-async-algorithms", from: "1.1.4"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
]

// MARK: Targets

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let targets = table.flatMap { module -> [Target] in
    let dependencies = module.uses.map { Target.Dependency.target(name: $0) } + module.products
    let path = "Sources/\(module.layer.folder)/\(module.name)"
    var targets: [Target] = []
    switch module.kind {
    case .c:
        targets.append(
            .target(
                name: module.name,
                path: path,
                // Not by unsafe flags, with which no version of the library could be depended on.
                cSettings: [.enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error)],
            )
        )
    case .swift:
        targets.append(.target(name: module.name, dependencies: dependencies, path: path, swiftSettings: swiftSettings))
    case .generated:
        // protoc-gen-swift does not write for strict memory safety.
        targets.append(
            .target(name: module.name, dependencies: dependencies, path: path, swiftSettings: [.swiftLanguageMode(.v6)])
        )
    case .executable:
        targets.append(
            .executableTarget(
                name: module.name,
                dependencies: dependencies,
                path: path,
                swiftSettings: swiftSettings,
                linkerSettings: module.isSelfContained ? [.unsafeFlags(["-static-stdlib"])] : [],
            )
        )
    }
    if module.tested {
        targets.append(
            .testTarget(
                name: "\(module.name)Tests",
                dependencies: [.target(name: module.name)] + module.testUses.map { .target(name: $0) }
                    + module.testProducts,
                path: "Tests/\(module.layer.folder)/\(module.name)Tests",
                swiftSettings: swiftSettings,
            )
        )
    }
    return targets
}

let suiteTargets = suites.map { suite in
    Target.testTarget(
        name: suite.name,
        dependencies: suite.uses.map { .target(name: $0) },
        path: "Tests/\(suite.path)",
        swiftSettings: swiftSettings,
    )
}

/// What tests of several modules share.
let testSupport: [Target] = [
    .target(
        name: "VirtioDriver",
        dependencies: ["MachineMemory", "Virtio"],
        path: "Tests/Support/VirtioDriver",
        swiftSettings: swiftSettings,
    ),
    // Puts the jail on itself and tries what it must not: a process with one thread, which no test process has.
    .executableTarget(
        name: "jail-probe",
        dependencies: ["Jail", "LinuxSystem"],
        path: "Tests/Support/jail-probe",
        swiftSettings: swiftSettings,
    ),
    .target(
        name: "TestSupport",
        dependencies: ["LinuxSystem"],
        path: "Tests/Support/TestSupport",
        swiftSettings: swiftSettings
    ),
    // A box whose loopback is the host's, for servers that answer programs in a box; and servers that answer as a test says.
    .target(
        name: "HTTPSupport",
        dependencies: [
            "Primitives", "Sandboxing", .asyncAlgorithms, .httpTypes, .hummingbird, .log, .nioCore, .nioPosix,
        ],
        path: "Tests/Support/HTTPSupport",
        swiftSettings: swiftSettings,
    ),
]

/// Figures against a peer; not part of the product.
let benchmarks: [Target] = [
    .target(name: "BenchmarkSupport", path: "Benchmarks/BenchmarkSupport", swiftSettings: swiftSettings),
    .executableTarget(
        name: "voidbox-bench",
        dependencies: ["BenchmarkSupport", "LinuxSystem", "Primitives", "SandboxQEMU", "Sandboxing"],
        path: "Benchmarks/voidbox-bench",
        swiftSettings: swiftSettings,
    ),
    .executableTarget(
        name: "voidbox-bench-lab",
        dependencies: ["BenchmarkSupport", "LinuxSystem", "Primitives", "SandboxKVM", "SandboxQEMU", "Sandboxing"],
        path: "Benchmarks/voidbox-bench-lab",
        swiftSettings: swiftSettings,
    ),
]

/// The examples of the library. One program, and a target of this package: a package of its own would compile everything again,
/// and each program with the library in it takes 140 MB and seconds to link.
let examples: [Target] = [
    .executableTarget(
        name: "voidbox-examples",
        dependencies: ["VoidBox"],
        path: "examples/swift",
        swiftSettings: swiftSettings,
    )
]

/// What the targets of `Fuzz/Targets` parse with.
let fuzzed: [Target.Dependency] = [
    "AgentRuntimes", "LinuxBoot", "LinuxSystem", "MachineMemory", "Primitives", "SharedFS", "Skills", "Spec", "TTRPC",
    "Virtio", "VirtioDevices", "VirtioDriver",
]

/// The fuzzer is built by `scripts/fuzz` only: it links the toolchain's fuzzing runtime. Everywhere else the same targets are a
/// test, which replays the inputs that are kept.
let fuzzers: [Target] =
    Context.environment["VOIDBOX_FUZZ"] == nil
    ? [
        .testTarget(
            name: "FuzzTargetsTests",
            dependencies: fuzzed,
            path: "Fuzz/Targets",
            swiftSettings: swiftSettings,
        )
    ]
    : [
        .target(name: "FuzzDriver", path: "Fuzz/FuzzDriver", swiftSettings: swiftSettings),
        .target(
            name: "FuzzTargets",
            dependencies: fuzzed,
            path: "Fuzz/Targets",
            exclude: ["ReplayTests.swift"],
            swiftSettings: swiftSettings,
        ),
        .executableTarget(
            name: "voidbox-fuzz",
            dependencies: ["FuzzDriver", "FuzzTargets"],
            path: "Fuzz/voidbox-fuzz",
            swiftSettings: swiftSettings,
        ),
    ]

let package = Package(
    name: "voidbox",
    products: [.library(name: "VoidBox", targets: ["VoidBox"])],
    dependencies: packages,
    targets: targets + suiteTargets + testSupport + benchmarks + examples + fuzzers,
)
