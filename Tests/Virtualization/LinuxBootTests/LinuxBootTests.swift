import ByteCodec
import Foundation
import LinuxSystem
import MachineMemory
import Testing

@testable import LinuxBoot

@Suite("ELF kernel") struct ELFKernelTests {
    /// Headers of an executable with one segment of 0x1000 bytes at 16 MiB, entered at its start.
    static func image(
        entry: UInt64 = 0x100_0000,
        address: UInt64 = 0x100_0000,
        offset: UInt64 = 0x1000,
        fileSize: UInt64 = 0x1000,
        memorySize: UInt64 = 0x2000,
        count: UInt16 = 1,
        tableOffset: UInt64 = 64,
        machine: UInt16 = 62,
    ) -> [UInt8] {
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        bytes.append(littleEndian: UInt16(2))
        bytes.append(littleEndian: machine)
        bytes.append(littleEndian: UInt32(1))
        bytes.append(littleEndian: entry)
        bytes.append(littleEndian: tableOffset)
        bytes += [UInt8](repeating: 0, count: 8 + 4 + 2)
        bytes.append(littleEndian: UInt16(56))
        bytes.append(littleEndian: count)
        bytes += [UInt8](repeating: 0, count: 6)
        bytes.append(littleEndian: UInt32(1))  // PT_LOAD
        bytes.append(littleEndian: UInt32(5))
        bytes.append(littleEndian: offset)
        bytes.append(littleEndian: UInt64(0xFFFF_FFFF_8100_0000))
        bytes.append(littleEndian: address)
        bytes.append(littleEndian: fileSize)
        bytes.append(littleEndian: memorySize)
        bytes.append(littleEndian: UInt64(0x20_0000))
        return bytes
    }

    @Test func `segments and entry are read`() throws {
        let kernel = try ELFKernel(front: Self.image(), fileSize: 0x2000)
        #expect(kernel.entry == 0x100_0000)
        #expect(
            kernel.segments == [
                .init(fileOffset: 0x1000, physicalAddress: 0x100_0000, fileSize: 0x1000, memorySize: 0x2000)
            ]
        )
    }

    @Test func `what is no kernel is told apart`() {
        #expect(throws: ELFKernel.Violation.notELF) { try ELFKernel(front: [1, 2, 3], fileSize: 3) }
        #expect(throws: ELFKernel.Violation.notFor64BitX86) {
            try ELFKernel(front: Self.image(machine: 183), fileSize: 0x2000)
        }
        #expect(throws: ELFKernel.Violation.truncated) {
            try ELFKernel(front: Array(Self.image().prefix(40)), fileSize: 40)
        }
    }

    @Test func `headers that lead outside are refused`() {
        #expect(throws: ELFKernel.Violation.segmentOutOfFile(index: 0)) {
            try ELFKernel(front: Self.image(), fileSize: 0x1FFF)
        }
        #expect(throws: ELFKernel.Violation.segmentOutOfFile(index: 0)) {
            try ELFKernel(front: Self.image(offset: .max), fileSize: 0x2000)
        }
        #expect(throws: ELFKernel.Violation.segmentSize(index: 0)) {
            try ELFKernel(front: Self.image(memorySize: 1), fileSize: 0x2000)
        }
        #expect(throws: ELFKernel.Violation.segmentSize(index: 0)) {
            try ELFKernel(front: Self.image(address: .max - 1), fileSize: 0x2000)
        }
        #expect(throws: ELFKernel.Violation.entryOutside(0)) {
            try ELFKernel(front: Self.image(entry: 0), fileSize: 0x2000)
        }
        #expect(throws: ELFKernel.Violation.self) {
            try ELFKernel(front: Self.image(count: 65535), fileSize: 0x2000)
        }
        #expect(throws: ELFKernel.Violation.self) {
            try ELFKernel(front: Self.image(tableOffset: .max), fileSize: 0x2000)
        }
    }

    @Test func `damaged headers never do more than throw`() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = Self.image()
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                bytes[Int.random(in: 4..<bytes.count, using: &random)] = random.next()
            }
            _ = try? ELFKernel(front: bytes, fileSize: 0x2000)
        }
    }
}

@Suite("bzImage") struct BzImageTests {
    static func image() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes[0x1F1] = 3  // Sectors of setup code.
        bytes[0x201] = 0x66  // The header ends at 0x268.
        bytes.replaceSubrange(0x202..<0x206, with: "HdrS".utf8)
        bytes[0x206] = 0x0F
        bytes[0x207] = 0x02
        bytes[0x234] = 1  // Relocatable.
        bytes[0x236] = 1  // XLF_KERNEL_64
        bytes[0x25A] = 0  // Preferred address 0x1000000.
        bytes[0x25B] = 1
        bytes[0x262] = 0x10  // Needs 1 MiB.
        return bytes
    }

    @Test func `the header says where the code is and where it goes`() throws {
        let kernel = try BzImage(front: Self.image(), fileSize: 1 << 20)
        #expect(kernel.codeOffset == 2048)
        #expect(kernel.codeSize == (1 << 20) - 2048)
        #expect(kernel.loadAddress == 0x100_0000)
        #expect(kernel.entry == 0x100_0200)
        #expect(kernel.memorySize == 0x10_0000)
    }

    @Test func `kernels that cannot be entered in 64 bits are refused`() {
        #expect(throws: BzImage.Violation.noSetupHeader) { try BzImage(front: [1], fileSize: 1) }
        var old = Self.image()
        old[0x206] = 0x0B
        #expect(throws: BzImage.Violation.protocolTooOld(0x020B)) { try BzImage(front: old, fileSize: 1 << 20) }
        var narrow = Self.image()
        narrow[0x236] = 0
        #expect(throws: BzImage.Violation.no64BitEntry) { try BzImage(front: narrow, fileSize: 1 << 20) }
        #expect(throws: BzImage.Violation.setupOutOfFile(sectors: 3)) {
            try BzImage(front: Self.image(), fileSize: 2048)
        }
    }
}

@Suite("Boot tables") struct BootTableTests {
    private static func sum(_ bytes: [UInt8]) -> UInt8 { bytes.reduce(0, &+) }

    @Test(arguments: [1, 2, 64]) func `the MP table adds up and names every processor`(_ count: Int) {
        let table = MPTable(processors: count, at: 0x9_C000)
        #expect(table.pointer.count == 16)
        #expect(Self.sum(table.pointer) == 0)
        #expect(Self.sum(table.table) == 0)
        let length = Int(table.table[4]) | Int(table.table[5]) << 8
        #expect(length == table.table.count)
        let entries = Int(table.table[34]) | Int(table.table[35]) << 8
        #expect(entries == count + 1 + 1 + 24 + 2)
    }

    @Test(arguments: [512, 3328, 6144] as [UInt64])
    func `the memory map covers all memory but the gap and the firmware's place`(_ mebibytes: UInt64) throws {
        let layout = MachineMemoryLayout(size: mebibytes << 20)
        let total = layout.regions.reduce(0) { $0 + $1.count }
        #expect(total == mebibytes << 20)
        for region in layout.regions {
            #expect(region.end <= MachineMemoryLayout.gap.lowerBound || region.base.rawValue >= 1 << 32)
        }
    }
}

@Suite("Linux loader") struct LinuxLoaderTests {
    private static func file(_ bytes: [UInt8]) throws -> OwnedFD {
        try OwnedFD.memoryFile(named: "boot-test", contents: bytes)
    }

    private static func kernel() -> [UInt8] {
        let headers = ELFKernelTests.image()
        return headers + [UInt8](repeating: 0, count: 0x1000 - headers.count) + [UInt8](repeating: 0x90, count: 0x1000)
    }

    @Test func `kernel, archives and command line are where boot_params says`() throws {
        let memory = try GuestMemory(MachineMemoryLayout(size: 64 << 20))
        let entry = try LinuxLoader(memory).load(
            kernel: try Self.file(Self.kernel()),
            initramfs: try Self.file(Array("first archive".utf8)),
            appended: Array("second".utf8),
            commandLine: "quiet panic=-1",
            processors: 2,
        )
        #expect(entry.instructionPointer == 0x100_0000)
        #expect(try memory.read(4, at: GuestAddress(0x100_0000)) == [0x90, 0x90, 0x90, 0x90])
        let zeroPage = try memory.range(at: GuestAddress(entry.bootParameters), count: 4096)
        let line = UInt64(zeroPage.load(UInt32.self, at: 0x228))
        #expect(try memory.read(15, at: GuestAddress(line)) == Array("quiet panic=-1\0".utf8))
        let (archive, size) = (zeroPage.load(UInt32.self, at: 0x218), zeroPage.load(UInt32.self, at: 0x21C))
        let bytes = try memory.read(Int(size), at: GuestAddress(UInt64(archive)))
        #expect(bytes == Array("first archive\0\0\0second".utf8), "the second starts at a multiple of 4")
        #expect(archive % 4096 == 0)
        #expect(zeroPage.load(UInt8.self, at: 0x1E8) == 3)
    }

    @Test func `what does not fit is told with its size`() throws {
        let memory = try GuestMemory(MachineMemoryLayout(size: 8 << 20))
        #expect(throws: LinuxBootError.doesNotFit("kernel", count: 0x2000, memory: 8 << 20)) {
            _ = try LinuxLoader(memory).load(
                kernel: try Self.file(Self.kernel()),
                initramfs: try Self.file([]),
                appended: [],
                commandLine: "",
                processors: 1,
            )
        }
        let larger = try GuestMemory(MachineMemoryLayout(size: 32 << 20))
        #expect(throws: LinuxBootError.self) {
            _ = try LinuxLoader(larger).load(
                kernel: try Self.file(Self.kernel()),
                initramfs: try Self.file([UInt8](repeating: 0, count: 20 << 20)),
                appended: [],
                commandLine: "",
                processors: 1,
            )
        }
        #expect(throws: LinuxBootError.commandLine(count: 4000, limit: 2047)) {
            _ = try LinuxLoader(larger).load(
                kernel: try Self.file(Self.kernel()),
                initramfs: try Self.file([]),
                appended: [],
                commandLine: String(repeating: "x", count: 4000),
                processors: 1,
            )
        }
    }
}
