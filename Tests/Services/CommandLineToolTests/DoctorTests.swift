import Primitives
import Sandboxing
import Testing

@testable import CommandLineTool

@Suite("Doctor") struct DoctorTests {
    private func findings(_ change: (inout HostProbe) -> Void) -> [String: HostFinding] {
        var probe = HostProbe(
            qemuPath: "/usr/bin/qemu-system-x86_64",
            workerPath: "/usr/bin/voidbox-vmm",
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
        let emulating = findings {
            $0.qemuPath = nil
            $0.hasHardwareVirtualization = false
        }["qemu"]
        #expect(emulating?.status == .missing)
        #expect(emulating?.hint == "apt-get install qemu-system-x86")
        #expect(findings { $0.qemuPath = nil }["qemu"]?.status == .warning, "KVM runs boxes without it")
    }

    @Test func `a machine monitor that is not there is missing where it would be used`() {
        #expect(findings { $0.workerPath = nil }["voidbox-vmm"]?.status == .missing)
        let emulating = findings {
            $0.workerPath = nil
            $0.kvmDeviceExists = false
        }
        #expect(emulating["voidbox-vmm"]?.status == .warning)
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
