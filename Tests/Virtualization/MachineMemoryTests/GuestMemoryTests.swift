import LinuxSystem
import Testing

@testable import MachineMemory

@Suite("Guest memory") struct GuestMemoryTests {
    @Test func `memory above the gap is as real as below`() throws {
        let memory = try GuestMemory(MachineMemoryLayout(size: 6 << 30))
        let last = GuestAddress((4 << 30) + (6 << 30) - 0xD000_0000 - 8)
        try memory.store(UInt64(42), at: last)
        #expect(try memory.read(8, at: last) == [42, 0, 0, 0, 0, 0, 0, 0])
        #expect(throws: MemoryViolation.self) { try memory.store(UInt64(1), at: GuestAddress(last.rawValue + 1)) }
        #expect(throws: MemoryViolation.self) { try memory.read(1, at: GuestAddress(0xD000_0000)) }
        #expect(throws: MemoryViolation.self) { try memory.read(2, at: GuestAddress(0xCFFF_FFFF)) }
    }

    @Test func `the host's huge pages can be the guest's`() throws {
        let memory = try GuestMemory(MachineMemoryLayout(size: 6 << 30))
        unsafe memory.forEachRegion { region, host in
            #expect(region.base.rawValue % (2 << 20) == UInt64(UInt(bitPattern: host)) % (2 << 20))
        }
    }

    @Test(arguments: [(0, UInt64.max), (.max, 1), (.max, .max), (1 << 20, 1)] as [(UInt64, UInt64)])
    func `ranges that wrap or lie outside are violations`(_ address: UInt64, _ count: UInt64) throws {
        let memory = try GuestMemory(MachineMemoryLayout(size: 1 << 20))
        #expect(throws: MemoryViolation.self) { _ = try memory.range(at: GuestAddress(address), count: count) }
    }

    @Test func `discarded memory reads as zero`() throws {
        let memory = try GuestMemory(MachineMemoryLayout(size: 1 << 20))
        try memory.write([UInt8](repeating: 7, count: 8192), at: GuestAddress(4096))
        try memory.discard(at: GuestAddress(4096), count: 4096)
        #expect(try memory.read(1, at: GuestAddress(4096)) == [0])
        #expect(try memory.read(1, at: GuestAddress(8192)) == [7])
    }

    @Test func `bytes move between files and ranges in order`() throws {
        let memory = try GuestMemory(MachineMemoryLayout(size: 1 << 20))
        let file = try OwnedFD.memoryFile(named: "test", contents: Array("0123456789".utf8))
        let ranges = [
            try memory.range(at: GuestAddress(0x2000), count: 3), try memory.range(at: GuestAddress(0x1000), count: 4),
        ]
        #expect(try file.read(into: ranges, at: 2) == 7)
        #expect(ranges[0].read() == Array("234".utf8))
        #expect(ranges[1].read() == Array("5678".utf8))
        #expect(try file.write(from: [ranges[1]], at: 0) == 4)
        #expect(try file.read(at: 0, count: 10) == Array("5678456789".utf8))
    }
}
