internal import CKVM
package import LinuxSystem

/// How a processor enters a 64-bit kernel: paging on, flat segments (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
package struct LongModeEntry: Hashable, Sendable {
    package var instructionPointer: UInt64
    package var stackPointer: UInt64
    /// Address of `boot_params`, for the kernel in RSI.
    package var bootParameters: UInt64
    /// Address of the top page table.
    package var pageTable: UInt64
    /// Address and size of the descriptor table, which holds code at 0x10 and data at 0x18.
    package var descriptorTable: UInt64
    package var descriptorTableLimit: UInt16

    package init(
        instructionPointer: UInt64,
        stackPointer: UInt64,
        bootParameters: UInt64,
        pageTable: UInt64,
        descriptorTable: UInt64,
        descriptorTableLimit: UInt16,
    ) {
        self.instructionPointer = instructionPointer
        self.stackPointer = stackPointer
        self.bootParameters = bootParameters
        self.pageTable = pageTable
        self.descriptorTable = descriptorTable
        self.descriptorTableLimit = descriptorTableLimit
    }
}

extension VCPU {
    /// Only the first processor is set up; the guest starts the others through their local controllers.
    package func enter(_ entry: LongModeEntry) throws(SyscallError) {
        var special = kvm_sregs()
        try checked("KVM_GET_SREGS", unsafe ckvm_get_sregs(rawDescriptor, &special))
        special.gdt.base = entry.descriptorTable
        special.gdt.limit = entry.descriptorTableLimit
        special.cs = Self.segment(selector: 0x10, type: 0xB, isCode: true)  // Execute, read, accessed.
        let data = Self.segment(selector: 0x18, type: 0x3, isCode: false)  // Read, write, accessed.
        special.ds = data
        special.es = data
        special.fs = data
        special.gs = data
        special.ss = data
        special.cr0 = 0x8000_0011 | 1 << 1  // PG, ET, PE, and MP
        special.cr3 = entry.pageTable
        special.cr4 = 1 << 5  // PAE
        special.efer = 0x500  // LME, LMA
        try checked("KVM_SET_SREGS", unsafe ckvm_set_sregs(rawDescriptor, &special))

        var registers = kvm_regs()
        registers.rflags = 2
        registers.rip = entry.instructionPointer
        registers.rsp = entry.stackPointer
        registers.rsi = entry.bootParameters
        try checked("KVM_SET_REGS", unsafe ckvm_set_regs(rawDescriptor, &registers))
    }

    private static func segment(selector: UInt16, type: UInt8, isCode: Bool) -> kvm_segment {
        var segment = kvm_segment()
        segment.limit = 0xFFFF_FFFF
        segment.selector = selector
        segment.type = type
        segment.present = 1
        segment.db = isCode ? 0 : 1
        segment.s = 1
        segment.l = isCode ? 1 : 0
        segment.g = 1
        return segment
    }
}
