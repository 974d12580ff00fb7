internal import LinuxSystem
package import Sandboxing

/// Boxes as QEMU microvms: with KVM where the host has hardware virtualization, else emulated.
package struct QEMUBackend: SandboxBackend {
    package let name = BackendName.qemu
    private let program: String
    private let acceleration: QEMUAcceleration
    private let host: MachineHost

    /// Throws `hostUnsupported` if QEMU is not installed.
    package init(environment: [String: String], virtualization: HostVirtualization = .thisHost) throws {
        program = try HostProgram.qemu.locate(environment: environment)
        acceleration = virtualization.qemuAcceleration
        host = try MachineHost()
    }

    package func boot(_ configuration: SandboxConfiguration) async throws -> any SandboxInstance {
        try configuration.checkHost()
        try configuration.checkHasNoVsock(name)
        let (machine, guest) = try await QEMUMachine.start(
            configuration,
            program: program,
            acceleration: acceleration,
            host: host,
        )
        return try await GuestSandbox.boot(machine, guest, configuration, on: name)
    }
}
