internal import Jail
internal import LinuxSystem
package import Sandboxing

/// Boxes on VoidBox's own virtual machine monitor, one process each.
package struct KVMBackend: SandboxBackend {
    package let name = BackendName.kvm
    private let program: String
    private let waivedJailLayers: [String]
    private let host: MachineHost

    /// Throws `hostUnsupported` where this host cannot run one.
    package init(environment: [String: String], virtualization: HostVirtualization = .thisHost) throws {
        guard virtualization.mayOpenKVM else {
            throw SandboxError(
                .hostUnsupported,
                resource: "/dev/kvm",
                "it is missing, or this user may not open it",
                hint: "load the module kvm_intel or kvm_amd, and join the group kvm",
            )
        }
        guard virtualization.hasHardwareVirtualization else {
            throw SandboxError(
                .hostUnsupported,
                resource: "/dev/kvm",
                "the processor has no hardware virtualization (no vmx or svm flag), so this device only emulates",
                hint: "use mode qemu, whose emulation is faster",
            )
        }
        waivedJailLayers = try Self.waivedJailLayers(environment)
        program = try HostProgram.worker.locate(environment: environment)
        host = try MachineHost()
    }

    /// The layers of the worker's jail that the user does without: `VOIDBOX_WAIVE_JAIL`, names with commas between.
    private static func waivedJailLayers(_ environment: [String: String]) throws(SandboxError) -> [String] {
        let names = (environment["VOIDBOX_WAIVE_JAIL"] ?? "").split(separator: ",").map(String.init)
        for name in names where JailLayer(rawValue: name) == nil {
            throw SandboxError(
                .invalidArgument,
                resource: "VOIDBOX_WAIVE_JAIL",
                "the jail has no layer \"\(name)\"",
                hint: "its layers are \(JailLayer.allCases.map(\.rawValue).joined(separator: ", "))",
            )
        }
        return names
    }

    package func boot(_ configuration: SandboxConfiguration) async throws -> any SandboxInstance {
        try configuration.checkHost()
        try configuration.checkWorkerCapabilities()
        let (machine, guest) = try await WorkerMachine.start(
            configuration,
            program: program,
            waivedJailLayers: waivedJailLayers,
            host: host,
        )
        return try await GuestSandbox.boot(machine, guest, configuration, on: name)
    }
}

extension SandboxConfiguration {
    /// What the worker does not do yet is refused, not left out.
    fileprivate func checkWorkerCapabilities() throws(SandboxError) {
        if let vsock, !(3..<UInt32.max).contains(vsock.guestCID) {
            throw SandboxError(
                .invalidArgument,
                resource: "box \"\(name)\"",
                "its vsock cannot be called \(vsock.guestCID): 0 to 2 and the last number are others' names",
            )
        }
        if network == .user {
            throw SandboxError(
                .unsupported,
                resource: "box \"\(name)\"",
                "a network under kvm needs voidbox-net, which is not built yet",
                hint: "use mode qemu, or a box without a network: its model is reached over the control channel",
            )
        }
    }
}
