package import LinuxSystem
package import MachineMemory

/// Puts a Linux kernel, its initramfs and what it is told into the memory of a machine.
package struct LinuxLoader {
    /// Fixed places below 1 MiB. The kernel reserves what it is told of and takes the rest.
    private enum Place {
        static let descriptorTable: UInt64 = 0x500
        static let bootParameters: UInt64 = 0x7000
        static let stack: UInt64 = 0x8FF0
        static let pageTables: UInt64 = 0x9000
        static let commandLine: UInt64 = 0x2_0000
        static let mpTable: UInt64 = 0x9_C000
        /// The last kibibyte of base memory, where the kernel looks for the table's pointer.
        static let mpPointer: UInt64 = 0x9_FC00
        static let firmware: Range<UInt64> = 0x9_C000..<0x10_0000
    }

    package static let maxCommandLine = 2047

    /// What the first processor starts with.
    package struct Entry: Hashable, Sendable {
        package let instructionPointer: UInt64
        package let stackPointer: UInt64
        package let bootParameters: UInt64
        package let pageTable: UInt64
        package let descriptorTable: UInt64
        package let descriptorTableLimit: UInt16
    }

    private let memory: GuestMemory
    /// End of the memory below the gap.
    private let lowEnd: UInt64

    package init(_ memory: GuestMemory) {
        self.memory = memory
        lowEnd = memory.layout.regions[0].end
    }

    /// Loads everything. `appended` follows the initramfs, a second archive.
    package func load(
        kernel: borrowing OwnedFD,
        initramfs: borrowing OwnedFD,
        appended: [UInt8],
        commandLine: String,
        processors: Int,
    ) throws(LinuxBootError) -> Entry {
        let image = try loadKernel(kernel)
        var parameters = BootParameters(setupHeader: image.setupHeader)
        let archive = try loadInitramfs(initramfs, appended, above: image.end)
        parameters.setInitramfs(at: archive.address, count: archive.count)
        let line = Array(commandLine.utf8)
        guard line.count <= Self.maxCommandLine, !line.contains(0) else {
            throw .commandLine(count: line.count, limit: Self.maxCommandLine)
        }
        parameters.setCommandLine(at: UInt32(Place.commandLine), count: line.count)
        parameters.setMemoryMap(memoryMap)
        let table = MPTable(processors: processors, at: UInt32(Place.mpTable))
        try place(line + [0], at: Place.commandLine)
        try place(parameters.bytes, at: Place.bootParameters)
        try place(table.table, at: Place.mpTable)
        try place(table.pointer, at: Place.mpPointer)
        try placePageTables()
        // Null, unused, 64-bit code, data.
        let descriptors: [UInt64] = [0, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF]
        for (index, descriptor) in descriptors.enumerated() {
            try store(descriptor, at: Place.descriptorTable + UInt64(index) * 8)
        }
        return Entry(
            instructionPointer: image.entry,
            stackPointer: Place.stack,
            bootParameters: Place.bootParameters,
            pageTable: Place.pageTables,
            descriptorTable: Place.descriptorTable,
            descriptorTableLimit: UInt16(descriptors.count * 8 - 1),
        )
    }

    // MARK: Kernel

    private struct LoadedKernel {
        let entry: UInt64
        let end: UInt64
        let setupHeader: [UInt8]?
    }

    private func loadKernel(_ file: borrowing OwnedFD) throws(LinuxBootError) -> LoadedKernel {
        let size: UInt64
        let front: [UInt8]
        do throws(SyscallError) {
            size = try file.fileSize()
            front = try file.read(at: 0, count: ELFKernel.frontSize)
        } catch {
            throw .file("kernel", error)
        }
        return ELFKernel.isELF(front) ? try loadELF(file, front, size) : try loadBzImage(file, front, size)
    }

    private func loadELF(
        _ file: borrowing OwnedFD,
        _ front: [UInt8],
        _ size: UInt64,
    ) throws(LinuxBootError) -> LoadedKernel {
        let kernel: ELFKernel
        do throws(ELFKernel.Violation) {
            kernel = try ELFKernel(front: front, fileSize: size)
        } catch {
            throw .elf(error)
        }
        for segment in kernel.segments {
            guard segment.physicalAddress >= 0x10_0000, segment.physicalAddress + segment.memorySize <= lowEnd else {
                throw .doesNotFit("kernel", count: segment.memorySize, memory: lowEnd)
            }
            try read(file, "kernel", at: segment.fileOffset, count: segment.fileSize, into: segment.physicalAddress)
        }
        let end = kernel.segments.map { $0.physicalAddress + $0.memorySize }.max() ?? 0
        return LoadedKernel(entry: kernel.entry, end: end, setupHeader: nil)
    }

    private func loadBzImage(
        _ file: borrowing OwnedFD,
        _ front: [UInt8],
        _ size: UInt64,
    ) throws(LinuxBootError) -> LoadedKernel {
        let kernel: BzImage
        do throws(BzImage.Violation) {
            kernel = try BzImage(front: front, fileSize: size)
        } catch {
            throw .bzImage(error)
        }
        let (end, overflow) = kernel.loadAddress.addingReportingOverflow(kernel.memorySize)
        guard !overflow, end <= lowEnd else {
            throw .doesNotFit("kernel", count: kernel.memorySize, memory: lowEnd)
        }
        try read(file, "kernel", at: kernel.codeOffset, count: kernel.codeSize, into: kernel.loadAddress)
        return LoadedKernel(entry: kernel.entry, end: end, setupHeader: kernel.setupHeader)
    }

    // MARK: Initramfs

    /// As high as it goes below the gap, so that nothing the kernel unpacks to is in its way.
    private func loadInitramfs(
        _ file: borrowing OwnedFD,
        _ appended: [UInt8],
        above kernelEnd: UInt64,
    ) throws(LinuxBootError) -> (address: UInt32, count: UInt32) {
        let size: UInt64
        do throws(SyscallError) {
            size = try file.fileSize()
        } catch {
            throw .file("initramfs", error)
        }
        // Archives start at multiples of 4.
        let padded = (size + 3) & ~3
        let total = padded + UInt64(appended.count)
        guard size < 1 << 31, total < lowEnd else { throw .doesNotFit("initramfs", count: size, memory: lowEnd) }
        let address = (lowEnd - total) & ~4095
        guard address >= kernelEnd else { throw .doesNotFit("initramfs", count: total, memory: lowEnd - kernelEnd) }
        try read(file, "initramfs", at: 0, count: size, into: address)
        try place(appended, at: address + padded)
        return (UInt32(address), UInt32(total))
    }

    // MARK: Tables

    private var memoryMap: [(range: Range<UInt64>, kind: BootParameters.MemoryKind)] {
        var map: [(range: Range<UInt64>, kind: BootParameters.MemoryKind)] = [
            (0..<Place.firmware.lowerBound, .usable),
            (Place.firmware, .reserved),
            (Place.firmware.upperBound..<lowEnd, .usable),
        ]
        for region in memory.layout.regions.dropFirst() { map.append((region.base.rawValue..<region.end, .usable)) }
        return map
    }

    /// The first GiB onto itself, in pages of 2 MiB: three tables, one below the other.
    private func placePageTables() throws(LinuxBootError) {
        let present: UInt64 = 3  // Present, writable.
        let (top, middle, low) = (Place.pageTables, Place.pageTables + 0x1000, Place.pageTables + 0x2000)
        try store(middle | present, at: top)
        try store(low | present, at: middle)
        for entry in 0..<UInt64(512) { try store(entry << 21 | present | 1 << 7, at: low + entry * 8) }
    }

    // MARK: Memory

    private func place(_ bytes: [UInt8], at address: UInt64) throws(LinuxBootError) {
        do throws(MemoryViolation) {
            try memory.write(bytes, at: GuestAddress(address))
        } catch {
            throw .doesNotFit("boot data", count: UInt64(bytes.count), memory: lowEnd)
        }
    }

    private func store(_ value: UInt64, at address: UInt64) throws(LinuxBootError) {
        do throws(MemoryViolation) {
            try memory.store(value, at: GuestAddress(address))
        } catch {
            throw .doesNotFit("boot data", count: 8, memory: lowEnd)
        }
    }

    private func read(
        _ file: borrowing OwnedFD,
        _ role: String,
        at offset: UInt64,
        count: UInt64,
        into address: UInt64,
    ) throws(LinuxBootError) {
        var rest: GuestRange
        do throws(MemoryViolation) {
            rest = try memory.range(at: GuestAddress(address), count: count)
        } catch {
            throw .doesNotFit(role, count: count, memory: lowEnd)
        }
        var position = offset
        while rest.count > 0 {
            do throws(SyscallError) {
                let count = try file.read(into: [rest], at: position)
                if count == 0 { throw SyscallError(.inputOutput, call: "read", on: "\(role), which was cut short") }
                rest = rest.dropFirst(count)
                position += UInt64(count)
            } catch {
                throw .file(role, error)
            }
        }
    }
}
