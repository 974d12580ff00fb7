/// The word that a specification or `--mode` uses for a way to run boxes.
package enum SandboxMode: String, Hashable, Sendable, CaseIterable {
    /// The best real virtual machine that this host can run.
    case auto
    case kvm
    case qemu
    /// Scripted, without isolation: only by name, never chosen.
    case mock
    /// As `auto`: a real virtual machine on this host.
    case local
}

/// How QEMU runs the guest's instructions.
package enum QEMUAcceleration: Hashable, Sendable {
    case kvm
    /// Emulation: any host, about ten times slower.
    case tcg
}

/// What this host offers, read by the caller, so that choosing is pure.
package struct HostVirtualization: Hashable, Sendable {
    package var mayOpenKVM: Bool
    /// A `/dev/kvm` without it emulates the guest's kernel and is far slower than QEMU's emulation.
    package var hasHardwareVirtualization: Bool

    package init(mayOpenKVM: Bool, hasHardwareVirtualization: Bool) {
        self.mayOpenKVM = mayOpenKVM
        self.hasHardwareVirtualization = hasHardwareVirtualization
    }

    /// Whether guests run on the processor itself.
    package var isAccelerated: Bool { mayOpenKVM && hasHardwareVirtualization }

    package var qemuAcceleration: QEMUAcceleration { isAccelerated ? .kvm : .tcg }
}

extension SandboxMode {
    /// The backend this mode means for a box on a host: of the real ones `kvm` where guests run on the processor itself, else
    /// `qemu`. A box with a network is QEMU's, as long as kvm has none.
    package func backend(on host: HostVirtualization, needsNetwork: Bool) -> BackendName {
        switch self {
        case .auto, .local: host.isAccelerated && !needsNetwork ? .kvm : .qemu
        case .qemu: .qemu
        case .kvm: .kvm
        case .mock: .mock
        }
    }
}
