internal import LinuxSystem
package import Sandboxing

/// Boxes as QEMU microvms: with KVM where the host has hardware virtualization, else emulated.
package struct QEMUBackend: SandboxBackend {
    package let name = BackendName.qemu
    private let program: String
    private let acceleration: QEMUAcceleration
    private let host: HostIO

    /// Throws `hostUnsupported` if QEMU is not installed.
    package init(environment: [String: String], virtualization: HostVirtualization = .thisHost) throws {
        program = try QEMUProgram.locate(environment: environment)
        acceleration = virtualization.qemuAcceleration
        host = HostIO(loop: try EventLoopThread(name: "box-io"), spawner: try Spawner())
    }

    package func boot(_ configuration: SandboxConfiguration) async throws -> any SandboxInstance {
        for path in [configuration.boot.kernel, configuration.boot.initramfs, configuration.boot.rootDisk]
            + configuration.disks.map(\.imagePath)
        where !HostFacts.mayRead(path) {
            throw SandboxError(
                .hostUnsupported,
                resource: path,
                "the file is missing or not readable",
                hint: "make guest"
            )
        }
        for share in configuration.shares where !HostFacts.exists(share.hostPath) {
            throw SandboxError(.notFound, resource: share.hostPath, "the directory to mount does not exist")
        }
        let (machine, guest) = try await QEMUMachine.start(
            configuration,
            program: program,
            acceleration: acceleration,
            host: host,
        )
        return try await GuestSandbox.boot(
            machine,
            guest,
            identity: SandboxIdentity(name: configuration.name, backend: name),
            deadline: configuration.bootDeadline,
        )
    }
}

extension HostVirtualization {
    package static var thisHost: HostVirtualization {
        HostVirtualization(
            mayOpenKVM: HostFacts.mayReadAndWrite("/dev/kvm"),
            hasHardwareVirtualization: HostFacts.hasHardwareVirtualization,
        )
    }
}
