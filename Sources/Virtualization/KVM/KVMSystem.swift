internal import CKVM
package import LinuxSystem

/// `/dev/kvm`: the system part of the interface (Documentation/virt/kvm/api.rst, section 4).
package struct KVMSystem: ~Copyable, Sendable {
    /// The only version there has been since 2007.
    private static let apiVersion: Int32 = 12

    private let descriptor: OwnedFD

    /// Takes over an open `/dev/kvm`. Throws `ENOTSUP` for a kernel that speaks another version.
    package init(adopting descriptor: consuming OwnedFD) throws(SyscallError) {
        let version = try checked("KVM_GET_API_VERSION", ckvm_api_version(descriptor.rawValue))
        guard version == Self.apiVersion else {
            throw SyscallError(.notSupported, call: "KVM_GET_API_VERSION", on: "version \(version)")
        }
        self.descriptor = descriptor
    }

    package func createMachine() throws(SyscallError) -> KVMMachine {
        let machine = OwnedFD(adopting: try checked("KVM_CREATE_VM", ckvm_create_vm(descriptor.rawValue)))
        let size = try checked("KVM_GET_VCPU_MMAP_SIZE", ckvm_vcpu_mmap_size(descriptor.rawValue))
        return KVMMachine(machine, runAreaSize: Int(size), supportedCPUID: try supportedCPUID())
    }

    private func supportedCPUID() throws(SyscallError) -> [CPUIDEntry] {
        var entries = [kvm_cpuid_entry2](repeating: kvm_cpuid_entry2(), count: 256)
        var count = UInt32(entries.count)
        // SAFETY: the shim writes at most `count` entries, the array's size, and stores how many.
        try checked(
            "KVM_GET_SUPPORTED_CPUID",
            unsafe ckvm_supported_cpuid(descriptor.rawValue, &entries, &count),
        )
        return entries.prefix(Int(count)).map(CPUIDEntry.init)
    }
}

/// Turns a shim's `-errno` into an error.
@discardableResult
func checked(_ call: StaticString, _ result: Int32) throws(SyscallError) -> Int32 {
    guard result < 0 else { return result }
    throw SyscallError(Errno(rawValue: -result), call: call)
}
