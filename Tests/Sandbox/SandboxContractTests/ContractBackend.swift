import Foundation
import LinuxSystem
import Primitives
import SandboxKVM
import SandboxMock
import SandboxQEMU
import Sandboxing
import Testing

/// The backends that the contract holds for.
enum ContractBackend: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case qemu, kvm, mock

    /// All, or those that `VOIDBOX_TEST_BACKENDS` names.
    static let all: [ContractBackend] = {
        guard let names = ProcessInfo.processInfo.environment["VOIDBOX_TEST_BACKENDS"] else { return allCases }
        return names.split(separator: ",").compactMap { ContractBackend(rawValue: String($0)) }
    }()
    /// Those with a machine.
    static let real = all.filter { $0 != .mock }
    /// Those whose boxes can have a network.
    static let withNetwork = all.filter { $0 == .qemu }
    /// Those with our own devices: a vsock, and a balloon that gives memory back.
    static let withVsock = all.filter { $0 == .kvm }
    /// Those whose shares show the host's owners as they are, instead of the box's user.
    static let withUnmappedShares = all.filter { $0 == .qemu }
    /// Those whose shares belong to the box's user, whoever they belong to on the host.
    static let withMappedShares = all.filter { $0 == .kvm }

    /// What the boxes have: `VOIDBOX_TEST_MEMORY_MB` and `VOIDBOX_TEST_VCPUS`, else 512 MiB and two processors.
    static let memory = ByteCount.mebibytes(number("VOIDBOX_TEST_MEMORY_MB") ?? 512)
    static let vcpus = Int(number("VOIDBOX_TEST_VCPUS") ?? 2)

    private static func number(_ variable: String) -> UInt64? {
        ProcessInfo.processInfo.environment[variable].flatMap { UInt64($0) }
    }

    var testDescription: String { rawValue }

    /// The variable that makes a missing backend a failure instead of a skip.
    private var requirement: String { self == .kvm ? "VOIDBOX_REQUIRE_KVM" : "VOIDBOX_REQUIRE_VM" }

    /// A configuration for this host. Where a real box cannot run here, the test is skipped with the reason, or fails if
    /// the variable says that it must be able to.
    func configuration(_ name: String = "contract") throws -> SandboxConfiguration {
        let environment = ProcessInfo.processInfo.environment
        let locator = AssetLocator(environment: environment)
        do {
            switch self {
            case .qemu: _ = try HostProgram.qemu.locate(environment: environment)
            case .kvm: _ = try KVMBackend(environment: environment)
            case .mock: break
            }
            let boot =
                self == .mock
                ? BootArtifacts(kernel: "", initramfs: "", rootDisk: "")
                : try locator.bootArtifacts()
            var configuration = SandboxConfiguration(name: name, boot: boot)
            configuration.memory = Self.memory
            configuration.vcpus = Self.vcpus
            return configuration
        } catch {
            if environment[requirement] == "1" { throw error }
            try Test.cancel("no real box on this host: \(error)")
        }
    }

    func backend(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws -> any SandboxBackend {
        switch self {
        case .qemu: try QEMUBackend(environment: environment)
        case .kvm: try KVMBackend(environment: environment)
        case .mock: MockBackend(programs: ["tunnel-echo": .tunnelEcho])
        }
    }

    /// Boots a box, hands it to `body`, and stops it.
    func withBox<Result>(
        _ change: (inout SandboxConfiguration) -> Void = { _ in },
        _ body: (any SandboxInstance) async throws -> Result,
    ) async throws -> Result {
        let box = try await boot(change)
        do {
            let result = try await body(box)
            await box.stop(grace: .seconds(2))
            return result
        } catch {
            let explained = await box.explained(error)
            await box.stop(grace: .zero)
            throw explained
        }
    }

    /// The error that the boot of such a box ends with.
    func bootError(_ change: (inout SandboxConfiguration) -> Void) async throws -> SandboxError? {
        // First of all whether there is such a machine here: that error is not the one expected.
        _ = try configuration()
        return await #expect(throws: SandboxError.self) {
            let box = try await boot(change)
            await box.stop(grace: .zero)
        }
    }

    /// A box of the caller's own, which stops it.
    func boot(_ change: (inout SandboxConfiguration) -> Void = { _ in }) async throws -> any SandboxInstance {
        var configuration = try configuration()
        change(&configuration)
        return try await backend().boot(configuration)
    }

    /// A box that the tests of this suite share. It ends with the test process.
    func sharedBox() async throws -> any SandboxInstance {
        try await SharedBoxes.all.box(self, try configuration("shared-\(rawValue)"))
    }
}

actor SharedBoxes {
    static let all = SharedBoxes()
    private var booting: [ContractBackend: Task<any SandboxInstance, any Error>] = [:]

    func box(_ backend: ContractBackend, _ configuration: SandboxConfiguration) async throws -> any SandboxInstance {
        let task =
            booting[backend]
            ?? Task {
                let box = try await backend.backend().boot(configuration)
                // It is to outlive every test: what ends it earlier is the cause of all that fails after it.
                Task { print("the shared \(backend) box ended: \(try await box.waitUntilEnded())") }
                return box
            }
        booting[backend] = task
        return try await task.value
    }
}

extension MockProgram {
    /// Connects to the port in its argument and sends back what it gets, to the end.
    static let tunnelEcho = MockProgram { process in
        guard let port = process.arguments.dropFirst().first.flatMap({ UInt16($0) }),
            let connection = try await process.tunnels.connect(to: port)
        else { return .code(1) }
        while let bytes = try await connection.receive() { try await connection.send(bytes) }
        try await connection.finishSending()
        return .code(0)
    }
}

extension ExecResult {
    var text: String { String(decoding: stdout, as: UTF8.self) }
    var errorText: String { String(decoding: stderr, as: UTF8.self) }
}

extension SandboxInstance {
    func run(_ argv: String..., input: [UInt8] = []) async throws -> ExecResult {
        try await run(ExecRequest(argv), input: input)
    }
}
