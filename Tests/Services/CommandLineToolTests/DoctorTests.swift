import Primitives
import Sandboxing
import Testing

@testable import CommandLineTool

@Suite("Doctor") struct DoctorTests {
    private func findings(_ change: (inout HostProbe) -> Void) -> [String: HostFinding] {
        var probe = HostProbe(
            qemuPath: "/usr/bin/qemu-system-x86_64",
            kvmDeviceExists: true,
            kvmDeviceUsable: true,
            hasHardwareVirtualization: true,
            assets: [(.kernel, true, "/k")],
            memory: .gibibytes(8)
        )
        change(&probe)
        return Dictionary(uniqueKeysWithValues: probe.findings.map { ($0.id, $0) })
    }

    @Test func `a good host has nothing to complain about`() {
        #expect(findings { _ in }.values.allSatisfy { $0.status == .ok })
    }

    @Test func `a missing QEMU names its package`() {
        let finding = findings { $0.qemuPath = nil }["qemu"]
        #expect(finding?.status == .missing)
        #expect(finding?.hint == "apt-get install qemu-system-x86")
    }

    @Test func `a KVM that emulates is told apart from one that may not be opened`() {
        #expect(findings { $0.hasHardwareVirtualization = false }["kvm"]?.summary.contains("no vmx or svm") == true)
        #expect(findings { $0.kvmDeviceUsable = false }["kvm"]?.hint?.contains("group kvm") == true)
    }

    @Test func `only what every box needs is missing, the rest is a warning`() {
        let found = findings { $0.assets = [(.kernel, false, "/k"), (.claudio, false, "/c")] }
        #expect(found["vmlinux"]?.status == .missing)
        #expect(found["claudio.ext4"]?.status == .warning)
    }
}
