internal import AgentRuntimes
internal import Foundation
internal import LinuxSystem
internal import Primitives
package import Sandboxing
package import Spec

/// Makes a box's configuration from a specification and this host.
package struct BoxBuilder: Sendable {
    private let locator: AssetLocator
    private let environment: [String: String]
    /// Paths of the specification are relative to it.
    private let file: String

    package init(environment: [String: String], file: String) {
        locator = AssetLocator(environment: environment)
        self.environment = environment
        self.file = file
    }

    /// - Parameter agent: The agent whose disk the box carries; nil for none.
    /// - Returns: The configuration and what its owner should know about it.
    package func configuration(
        name: String,
        sandbox: SandboxSpec,
        agent: AgentName?,
        backend: BackendName,
    ) throws -> (configuration: SandboxConfiguration, warnings: [String]) {
        let boot =
            backend == .mock
            ? BootArtifacts(kernel: "", initramfs: "", rootDisk: "")
            : try locator.bootArtifacts(
                kernel: sandbox.kernel.map { Spec.resolve($0, relativeTo: file) },
                initramfs: sandbox.initramfs.map { Spec.resolve($0, relativeTo: file) },
                isReadable: HostFacts.mayRead,
            )
        var configuration = SandboxConfiguration(name: name, boot: boot)
        configuration.memory = .mebibytes(UInt64(sandbox.memoryMB))
        configuration.vcpus = sandbox.vcpus
        configuration.network = sandbox.network ? .user : .none
        let (variables, missing) = sandbox.resolvedEnvironment(host: environment)
        configuration.environment = (agent?.runtime.boxEnvironment ?? [:]).merging(variables) { $1 }
        configuration.shares = try sandbox.mounts.map { try share($0) }
        if let repeated = Self.firstRepeat(sandbox.mounts.map(\.guest)) {
            throw RunFailure(.usage, "two directories are to be mounted at \(repeated)")
        }
        configuration.policy = ExecPolicy(sandbox.policy)
        if let agent, backend != .mock, let disk = try disk(agent) { configuration.disks = [disk] }
        return (configuration, missing.map { "sandbox.env: the host has no variable \($0); it is not set in the box" })
    }

    private func disk(_ agent: AgentName) throws -> SandboxConfiguration.Disk? {
        let asset: GuestAsset
        switch agent {
        case .claudeCode: asset = .claudeCode
        case .claudio: asset = .claudio
        case .codex: return nil
        }
        return try locator.disk(asset, at: "/opt/\(agent.rawValue)", isReadable: HostFacts.mayRead)
    }

    private static func firstRepeat(_ paths: [String]) -> String? {
        var seen: Set<String> = []
        return paths.first { !seen.insert($0).inserted }
    }

    /// The user of the box's programs.
    private static let guestUser: UInt32 = 1000

    /// A writable directory that is not there is made, as a place for results, and given to the user of the box's programs
    /// where that is possible.
    private func share(_ mount: MountSpec) throws -> SandboxConfiguration.Share {
        let path = Spec.resolve(mount.host, relativeTo: file)
        func failure(_ why: String) -> RunFailure {
            RunFailure(.usage, "mount \(mount.host): \(path) \(why)", hint: "a mount is a directory of the host")
        }
        let kind: FileStatus.Kind?
        do throws(SyscallError) {
            kind = try FileSystem.status(of: path).kind
        } catch  where error.errno == .notFound && mount.mode == .rw {
            kind = nil
        } catch {
            throw failure("cannot be mounted: \(error.errno)")
        }
        if let kind, kind != .directory { throw failure("is not a directory") }
        if kind == nil {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            if HostFacts.userID == 0 {
                try FileSystem.setOwner(of: path, uid: Self.guestUser, gid: Self.guestUser)
            }
        }
        return SandboxConfiguration.Share(hostPath: path, guestPath: mount.guest, isReadOnly: mount.mode == .ro)
    }
}

extension ExecPolicy {
    fileprivate init(_ spec: PolicySpec) {
        self.init()
        if let names = spec.allowedPrograms { programs = .only(Set(names)) }
        if let count = spec.maxOpenFiles { maxOpenFiles = UInt64(count) }
        if let count = spec.maxProcesses { maxProcesses = UInt64(count) }
        maxFileSize = spec.maxFileMB.map { .mebibytes(UInt64($0)) }
        maxMemory = spec.maxMemoryMB.map { .mebibytes(UInt64($0)) }
    }
}

extension SandboxSpec {
    /// The backend that such a box runs on.
    package func backend(on host: HostVirtualization) -> BackendName {
        mode.sandboxMode.backend(on: host, needsNetwork: network)
    }
}

extension SandboxSpec.Mode {
    fileprivate var sandboxMode: SandboxMode {
        switch self {
        case .auto: .auto
        case .kvm: .kvm
        case .qemu: .qemu
        case .mock: .mock
        case .local: .local
        }
    }
}
