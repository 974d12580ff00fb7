internal import Glibc
package import LinuxSystem

/// The memory of one machine. The guest changes it at any time, so nothing here hands out a view that promises otherwise:
/// values are copied out once, and bulk data moves by vectored system calls.
///
/// Any thread: the mappings never change while the object lives.
package final class GuestMemory: Sendable {
    package let layout: MachineMemoryLayout
    private let banks: [Bank]

    /// A region and the pages behind it.
    private final class Bank: Sendable {
        /// The host's huge pages are the guest's only where both begin at a multiple of their size. Regions do; Linux before 6.7
        /// maps memory anywhere.
        private static let hugePageSize = 2 << 20

        let region: MachineMemoryLayout.Region
        let mapping: MemoryMapping

        init(_ region: MachineMemoryLayout.Region) throws(SyscallError) {
            guard let count = Int(exactly: region.count) else {
                throw SyscallError(.noMemory, call: "mmap", on: "guest memory")
            }
            self.region = region
            mapping = try MemoryMapping(anonymous: count, alignment: Self.hugePageSize)
            mapping.preferHugePages()
        }
    }

    package init(_ layout: MachineMemoryLayout) throws(SyscallError) {
        self.layout = layout
        var banks: [Bank] = []
        for region in layout.regions { banks.append(try Bank(region)) }
        self.banks = banks
    }

    /// Calls `body` for each region with its place in this process, which stays as long as this object.
    package func forEachRegion(_ body: (MachineMemoryLayout.Region, UnsafeMutableRawPointer) throws -> Void) rethrows {
        for bank in banks { try unsafe body(bank.region, bank.mapping.baseAddress) }
    }

    /// A window on `count` bytes, all in one region.
    package func range(at address: GuestAddress, count: UInt64) throws(MemoryViolation) -> GuestRange {
        let (bank, offset) = try locate(address, count)
        // SAFETY: offset + count is within the region, whose size is the mapping's.
        return unsafe GuestRange(self, bank.mapping.baseAddress + offset, Int(count), address)
    }

    package static let pageSize: UInt64 = 4096

    /// Gives the whole pages of a range back to the host; they read as zero from then on. What is of a page in part stays.
    package func discard(at address: GuestAddress, count: UInt64) throws {
        let (bank, offset) = try locate(address, count)
        // Regions begin on a page, so that the guest's pages are the host's.
        let page = Int(Self.pageSize)
        let start = (offset + page - 1) & ~(page - 1)
        let end = (offset + Int(count)) & ~(page - 1)
        if start < end { try bank.mapping.discard(start..<end) }
    }

    private func locate(_ address: GuestAddress, _ count: UInt64) throws(MemoryViolation) -> (Bank, offset: Int) {
        guard let end = address.advanced(by: count)?.rawValue,
            let bank = banks.first(where: { address >= $0.region.base && end <= $0.region.end })
        else { throw MemoryViolation(address: address, count: count) }
        return (bank, Int(address.rawValue - bank.region.base.rawValue))
    }
}

extension GuestMemory {
    package func write(_ bytes: some Collection<UInt8>, at address: GuestAddress) throws(MemoryViolation) {
        try range(at: address, count: UInt64(bytes.count)).write(Array(bytes))
    }

    package func read(_ count: Int, at address: GuestAddress) throws(MemoryViolation) -> [UInt8] {
        try range(at: address, count: UInt64(max(0, count))).read()
    }

    package func store<Value: FixedWidthInteger & BitwiseCopyable>(
        _ value: Value,
        at address: GuestAddress,
    ) throws(MemoryViolation) {
        try range(at: address, count: UInt64(MemoryLayout<Value>.size)).store(value, at: 0)
    }
}
