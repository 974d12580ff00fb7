internal import CKVM
package import LinuxSystem
internal import Synchronization

/// What the guest does that the kernel does not answer itself.
package protocol MachineBus {
    /// `count` is 1, 2 or 4.
    func readPort(_ port: UInt16, count: Int) -> UInt32
    func writePort(_ port: UInt16, _ value: UInt32, count: Int)
    /// `count` is 1 to 8.
    func read(_ address: UInt64, count: Int) -> UInt64
    func write(_ address: UInt64, _ value: UInt64, count: Int)
}

/// Why a processor runs no further.
package enum VCPUStop: Hashable, Sendable {
    /// A triple fault: the usual way of a guest without firmware to reset.
    case shutdown
    /// The processor refused its state; the number is the hardware's.
    case failedEntry(reason: UInt64)
    case internalError(suberror: UInt32)
    case systemEvent(UInt32)
    case unexpectedExit(UInt32)
}

/// One processor. After set-up, confined to the thread that runs it.
@safe
package final class VCPU: @unchecked Sendable {
    private let descriptor: OwnedFD
    private let runArea: MemoryMapping

    init(_ descriptor: consuming OwnedFD, runAreaSize: Int) throws(SyscallError) {
        guard runAreaSize >= MemoryLayout<kvm_run>.size else {
            throw SyscallError(.invalidArgument, call: "KVM_GET_VCPU_MMAP_SIZE")
        }
        runArea = try MemoryMapping(sharing: descriptor, count: runAreaSize)
        self.descriptor = descriptor
    }

    func configure(_ cpuid: [CPUIDEntry]) throws(SyscallError) {
        let entries = cpuid.map(\.shim)
        // SAFETY: the shim copies `count` entries, the array's.
        try checked("KVM_SET_CPUID2", unsafe ckvm_set_cpuid(descriptor.rawValue, entries, UInt32(entries.count)))
        try checked("KVM_SET_LAPIC", ckvm_route_local_interrupts(descriptor.rawValue))
        // IA32_MISC_ENABLE: fast string operations.
        try checked("KVM_SET_MSRS", ckvm_set_msr(descriptor.rawValue, 0x1A0, 1))
    }

    var rawDescriptor: Int32 { descriptor.rawValue }

    // MARK: Running

    /// Runs until the guest needs an answer that `bus` does not give.
    package func run(on bus: some MachineBus) throws(SyscallError) -> VCPUStop {
        while true {
            let result = ckvm_run(descriptor.rawValue)
            // A signal, or the kernel asks to repeat.
            if result == -Errno.interrupted.rawValue || result == -Errno.again.rawValue { continue }
            try checked("KVM_RUN", result)
            if let stop = answer(bus) { return stop }
        }
    }

    /// Answers the last exit; nil to go on.
    private func answer(_ bus: some MachineBus) -> VCPUStop? {
        // SAFETY: the area is at least one kvm_run long, and the kernel writes it only inside KVM_RUN. The member of the
        // union that is read is the one that the exit reason names.
        unsafe runArea.baseAddress.withMemoryRebound(to: kvm_run.self, capacity: 1) { run in
            switch Int32(unsafe run.pointee.exit_reason) {
            case KVM_EXIT_IO:
                unsafe answerPort(run, bus)
            case KVM_EXIT_MMIO:
                unsafe answerMemory(run, bus)
            case KVM_EXIT_SHUTDOWN: return .shutdown
            case KVM_EXIT_FAIL_ENTRY:
                return .failedEntry(reason: unsafe run.pointee.fail_entry.hardware_entry_failure_reason)
            case KVM_EXIT_INTERNAL_ERROR: return .internalError(suberror: unsafe run.pointee.internal.suberror)
            case KVM_EXIT_SYSTEM_EVENT: return .systemEvent(unsafe run.pointee.system_event.type)
            case let other: return .unexpectedExit(UInt32(bitPattern: other))
            }
            return nil
        }
    }

    private func answerPort(_ run: UnsafeMutablePointer<kvm_run>, _ bus: some MachineBus) {
        let (port, size, count, offset) = unsafe (
            run.pointee.io.port, Int(run.pointee.io.size), Int(run.pointee.io.count), Int(run.pointee.io.data_offset),
        )
        // The kernel's own numbers, but the memory is shared: stay inside.
        guard [1, 2, 4].contains(size), offset >= 0, count >= 0, offset + size * count <= runArea.count else { return }
        let isWrite = unsafe Int32(run.pointee.io.direction) == KVM_EXIT_IO_OUT
        for item in 0..<count {
            // SAFETY: inside the area, checked above.
            let place = unsafe runArea.baseAddress + offset + item * size
            if isWrite {
                bus.writePort(port, UInt32(truncatingIfNeeded: unsafe Self.load(place, size)), count: size)
            } else {
                unsafe Self.store(UInt64(bus.readPort(port, count: size)), place, size)
            }
        }
    }

    private func answerMemory(_ run: UnsafeMutablePointer<kvm_run>, _ bus: some MachineBus) {
        let (address, size) = unsafe (run.pointee.mmio.phys_addr, Int(run.pointee.mmio.len))
        guard (1...8).contains(size) else { return }
        // SAFETY: the data has room for 8 bytes.
        unsafe withUnsafeMutableBytes(of: &run.pointee.mmio.data) { data in
            guard let place = data.baseAddress else { return }
            if unsafe run.pointee.mmio.is_write != 0 {
                bus.write(address, unsafe Self.load(place, size), count: size)
            } else {
                unsafe Self.store(bus.read(address, count: size), place, size)
            }
        }
    }

    @unsafe private static func load(_ place: UnsafeMutableRawPointer, _ size: Int) -> UInt64 {
        (0..<size).reduce(0) { $0 | UInt64(unsafe place.load(fromByteOffset: $1, as: UInt8.self)) << (8 * UInt64($1)) }
    }

    @unsafe private static func store(_ value: UInt64, _ place: UnsafeMutableRawPointer, _ size: Int) {
        for byte in 0..<size {
            unsafe place.storeBytes(
                of: UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte))),
                toByteOffset: byte,
                as: UInt8.self,
            )
        }
    }
}
