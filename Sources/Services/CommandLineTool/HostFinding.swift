internal import LinuxSystem
internal import Primitives
internal import SandboxQEMU
internal import Sandboxing

/// One thing `voidbox doctor` looked at.
struct HostFinding: Codable, Hashable, Sendable {
    enum Status: String, Codable, Sendable {
        case ok, warning, missing
    }

    /// Stable, for programs: "qemu", "kvm", "kernel", …
    var id: String
    var status: Status
    var summary: String
    /// What to do about it.
    var hint: String?
}

/// What the findings are made from, read once, so that deciding is pure.
struct HostProbe: Sendable {
    var qemuPath: String?
    /// The program of our own machine monitor.
    var workerPath: String?
    var kvmDeviceExists: Bool
    var kvmDeviceUsable: Bool
    var hasHardwareVirtualization: Bool
    var assets: [(asset: GuestAsset, isThere: Bool, path: String)]
    var memory: ByteCount?
}

extension HostProbe {
    var findings: [HostFinding] {
        [acceleration, worker, qemu, memoryFinding] + assets.map(finding(for:))
    }

    private var isAccelerated: Bool { kvmDeviceExists && kvmDeviceUsable && hasHardwareVirtualization }

    private var worker: HostFinding {
        if let workerPath { return HostFinding(id: "voidbox-vmm", status: .ok, summary: workerPath) }
        return HostFinding(
            id: "voidbox-vmm",
            status: isAccelerated ? .missing : .warning,
            summary: "voidbox-vmm, the program that runs boxes on KVM, is neither beside voidbox nor in PATH",
            hint: "swift build --product voidbox-vmm, or name it in VOIDBOX_VMM",
        )
    }

    private var qemu: HostFinding {
        guard let qemuPath else {
            let why = isAccelerated ? "; boxes with a network need it" : ""
            return HostFinding(
                id: "qemu",
                status: isAccelerated ? .warning : .missing,
                summary: "qemu-system-x86_64 is not installed\(why)",
                hint: "apt-get install qemu-system-x86",
            )
        }
        return HostFinding(id: "qemu", status: .ok, summary: qemuPath)
    }

    private var acceleration: HostFinding {
        switch (kvmDeviceExists, kvmDeviceUsable, hasHardwareVirtualization) {
        case (true, true, true):
            HostFinding(id: "kvm", status: .ok, summary: "/dev/kvm with hardware virtualization: mode auto uses it")
        case (true, false, true):
            HostFinding(
                id: "kvm",
                status: .warning,
                summary: "/dev/kvm exists but this user may not open it; boxes are emulated, about ten times slower",
                hint: "add the user to the group kvm: sudo usermod -aG kvm $USER, then log in again",
            )
        case (true, _, false):
            HostFinding(
                id: "kvm",
                status: .warning,
                summary: "/dev/kvm has no hardware virtualization behind it (no vmx or svm flag) and is not used; "
                    + "boxes are emulated",
                hint: "on a cloud machine, choose a type with nested virtualization",
            )
        case (false, _, let hardware):
            HostFinding(
                id: "kvm",
                status: .warning,
                summary: "no /dev/kvm; boxes are emulated",
                hint: hardware ? "load the module: modprobe kvm_intel or kvm_amd" : nil,
            )
        }
    }

    private var memoryFinding: HostFinding {
        guard let memory else {
            return HostFinding(id: "memory", status: .warning, summary: "free memory is not known")
        }
        if memory < .gibibytes(2) {
            return HostFinding(
                id: "memory",
                status: .warning,
                summary: "\(memory) of memory available",
                hint: "Claude Code wants a box of 2 GiB",
            )
        }
        return HostFinding(id: "memory", status: .ok, summary: "\(memory) of memory available")
    }

    private func finding(for entry: (asset: GuestAsset, isThere: Bool, path: String)) -> HostFinding {
        if entry.isThere {
            return HostFinding(id: entry.asset.rawValue, status: .ok, summary: "\(entry.asset.title): \(entry.path)")
        }
        return HostFinding(
            id: entry.asset.rawValue,
            status: entry.asset.isRequired ? .missing : .warning,
            summary: "\(entry.asset.title) is missing: \(entry.path)",
            hint: "make guest",
        )
    }
}
