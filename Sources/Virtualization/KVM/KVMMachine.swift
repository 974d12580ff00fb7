internal import CKVM
package import LinuxSystem
package import MachineMemory
internal import Synchronization

/// A virtual machine of the kernel, with the interrupt controllers and the timer in the kernel.
package final class KVMMachine: Sendable {
    let descriptor: OwnedFD
    private let runAreaSize: Int
    private let supportedCPUID: [CPUIDEntry]
    private let nextMemorySlot = Atomic<UInt32>(0)

    init(_ descriptor: consuming OwnedFD, runAreaSize: Int, supportedCPUID: [CPUIDEntry]) {
        self.descriptor = descriptor
        self.runAreaSize = runAreaSize
        self.supportedCPUID = supportedCPUID
    }

    /// The machine sees `memory` from now on. The caller keeps it alive as long as the machine.
    package func setMemory(_ memory: GuestMemory) throws(SyscallError) {
        var failure: SyscallError?
        unsafe memory.forEachRegion { region, host in
            do throws(SyscallError) {
                // SAFETY: the range is mapped, and the caller keeps it so.
                try unsafe setMemory(region.count, host, at: region.base, isReadOnly: false)
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }

    /// The guest reads `pages` at `address`, as memory. Its writes there are those to a device. The caller keeps them alive as
    /// long as the machine.
    package func setReadOnlyMemory(_ pages: borrowing MemoryMapping, at address: GuestAddress) throws(SyscallError) {
        // SAFETY: as above.
        try unsafe setMemory(UInt64(pages.count), pages.baseAddress, at: address, isReadOnly: true)
    }

    @unsafe private func setMemory(
        _ count: UInt64,
        _ host: UnsafeMutableRawPointer,
        at address: GuestAddress,
        isReadOnly: Bool,
    ) throws(SyscallError) {
        let slot = nextMemorySlot.wrappingAdd(1, ordering: .relaxed).oldValue
        try checked(
            "KVM_SET_USER_MEMORY_REGION",
            unsafe ckvm_set_memory_region(descriptor.rawValue, slot, address.rawValue, count, host, isReadOnly),
        )
    }

    /// Interrupt controllers and timer in the kernel. To be called before the first processor is made.
    package func createInterruptControllers() throws(SyscallError) {
        // Three pages that Intel processors need for real mode, and one for an identity map: in the gap, below the BIOS.
        try checked("KVM_SET_IDENTITY_MAP_ADDR", ckvm_set_identity_map_address(descriptor.rawValue, 0xFFFB_C000))
        try checked("KVM_SET_TSS_ADDR", ckvm_set_tss_address(descriptor.rawValue, 0xFFFB_D000))
        try checked("KVM_CREATE_IRQCHIP", ckvm_create_irqchip(descriptor.rawValue))
        try checked("KVM_CREATE_PIT2", ckvm_create_pit(descriptor.rawValue))
    }

    /// One of 24, of which a PC has 16 in both of its kinds of controllers.
    package func interruptLine(_ number: UInt32) -> InterruptLine { InterruptLine(self, number) }

    /// A ring of `bell` raises the interrupt line, an edge.
    package func connect(_ bell: borrowing Doorbell, toInterrupt line: UInt32) throws(SyscallError) {
        try checked("KVM_IRQFD", ckvm_irqfd(descriptor.rawValue, bell.descriptor.rawValue, line))
    }

    /// The guest's write of the 32-bit `value` to `address` rings `bell`, without leaving the kernel.
    package func connect(
        _ bell: borrowing Doorbell,
        toWriteOf value: UInt32,
        at address: GuestAddress,
    ) throws(SyscallError) {
        try checked(
            "KVM_IOEVENTFD",
            ckvm_ioeventfd(descriptor.rawValue, bell.descriptor.rawValue, address.rawValue, value),
        )
    }

    /// Makes processor `index` of `count`.
    package func createVCPU(_ index: Int, of count: Int) throws(SyscallError) -> VCPU {
        let vcpu = OwnedFD(
            adopting: try checked("KVM_CREATE_VCPU", ckvm_create_vcpu(descriptor.rawValue, UInt32(index)))
        )
        let made = try VCPU(vcpu, runAreaSize: runAreaSize)
        try made.configure(CPUTopology(index: index, count: count).applied(to: supportedCPUID))
        return made
    }
}
