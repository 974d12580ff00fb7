import LinuxSystem
import MachineMemory
import Testing
import Virtio
import VirtioDriver

@testable import VirtioDevices

@Suite("Disk", .timeLimit(.minutes(2))) final class BlockDeviceTests {
    private enum Place {
        static let header = DeviceFixture.buffers
        static let data = DeviceFixture.buffers + 0x1000
        static let status = DeviceFixture.buffers + 0x10_0000
    }

    private static let contents = (0..<16 * 512).map { UInt8(truncatingIfNeeded: $0 / 512 + 1) }

    private let file: OwnedFD
    private let fixture: DeviceFixture

    init() throws {
        file = try OwnedFD.memoryFile(named: "disk", contents: Self.contents)
        fixture = try Self.fixture(file, isReadOnly: false)
    }

    private static func fixture(_ file: borrowing OwnedFD, isReadOnly: Bool) throws -> DeviceFixture {
        let disk = BlockDevice.Disk(serial: "scratch", size: UInt64(contents.count), isReadOnly: isReadOnly)
        let copy = try file.duplicate().relinquish()
        return try DeviceFixture(BlockDevice.description(disk)) {
            BlockDevice($0, disk, file: OwnedFD(adopting: copy))
        }
    }

    /// Sends a request; the status byte it comes back with.
    private func request(
        _ fixture: DeviceFixture,
        _ kind: UInt32,
        sector: UInt64 = 0,
        output: [UInt8] = [],
        input: UInt32 = 0,
    ) throws -> UInt8 {
        let header = try fixture.memory.range(at: GuestAddress(Place.header), count: 16)
        header.store(kind, at: 0)
        header.store(UInt32(0), at: 4)
        header.store(sector, at: 8)
        try fixture.memory.write(output, at: GuestAddress(Place.data))
        try fixture.memory.write([0xFF], at: GuestAddress(Place.status))
        var readable: [(UInt64, UInt32)] = [(Place.header, 16)]
        if !output.isEmpty { readable.append((Place.data, UInt32(output.count))) }
        let data: [(UInt64, UInt32)] = input > 0 ? [(Place.data, input)] : []
        try fixture.queues[0].offer(readable: readable, writable: data + [(Place.status, 1)])
        fixture.kick(0)
        _ = try fixture.used(0)
        return try fixture.memory.read(1, at: GuestAddress(Place.status))[0]
    }

    private func sectors(_ range: Range<Int>) throws -> [UInt8] {
        try file.read(at: UInt64(range.lowerBound * 512), count: range.count * 512)
    }

    @Test func `sectors are read`() throws {
        #expect(try request(fixture, 0, sector: 2, input: 1024) == 0)
        let data = try fixture.memory.read(1024, at: GuestAddress(Place.data))
        #expect(data == [UInt8](repeating: 3, count: 512) + [UInt8](repeating: 4, count: 512))
    }

    @Test func `sectors are written and flushed`() throws {
        #expect(try request(fixture, 1, sector: 15, output: [UInt8](repeating: 0xAB, count: 512)) == 0)
        #expect(try request(fixture, 4) == 0)
        #expect(try sectors(15..<16) == [UInt8](repeating: 0xAB, count: 512))
        #expect(try sectors(14..<15) == [UInt8](repeating: 15, count: 512))
    }

    @Test func `ranges are discarded and zeroed`() throws {
        // Sector 3, one sector; and no flags.
        let segment: [UInt8] = [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        for kind in [11, 13] as [UInt32] {
            #expect(try request(fixture, 1, sector: 3, output: [UInt8](repeating: 7, count: 512)) == 0)
            let status = try request(fixture, kind, output: segment)
            // A file in memory can punch holes, and not make zeroes of a range: that is an I/O error, and no more.
            if status == 0 {
                #expect(try sectors(3..<4) == [UInt8](repeating: 0, count: 512))
            } else {
                #expect(kind == 13)
            }
        }
    }

    @Test func `the serial is what the guest finds the disk by`() throws {
        #expect(try request(fixture, 8, input: 20) == 0)
        let serial = try fixture.memory.read(20, at: GuestAddress(Place.data))
        #expect(serial == Array("scratch".utf8) + [UInt8](repeating: 0, count: 13))
    }

    @Test(
        arguments: [
            (sector: 16, count: 512), (15, 1024), (.max, 512), (.max / 512, 512), (0, 100), (0, 16 * 512 + 512),
        ] as [(sector: UInt64, count: UInt32)]
    )
    func `what is not whole sectors of the disk is an I/O error`(_ sector: UInt64, _ count: UInt32) throws {
        #expect(try request(fixture, 0, sector: sector, input: count) == 1)
        #expect(try request(fixture, 1, sector: sector, output: [UInt8](repeating: 0, count: Int(count))) == 1)
        #expect(try sectors(0..<16) == Self.contents)
        #expect(fixture.status == 15, "the device goes on")
    }

    @Test func `a read-only disk is never written`() throws {
        let readOnly = try Self.fixture(file, isReadOnly: true)
        #expect(try request(readOnly, 1, output: [UInt8](repeating: 0, count: 512)) == 1)
        let segment: [UInt8] = [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        #expect(try request(readOnly, 11, output: segment) == 1)
        #expect(try request(readOnly, 13, output: segment) == 1)
        #expect(try sectors(0..<16) == Self.contents)
    }

    @Test func `a request of an unknown kind is unsupported`() throws {
        #expect(try request(fixture, 77, input: 512) == 2)
    }

    @Test func `a file that is cut short is an I/O error`() throws {
        let file = try OwnedFD.memoryFile(named: "short", contents: [UInt8](repeating: 1, count: 512))
        let fixture = try Self.fixture(file, isReadOnly: false)
        #expect(try request(fixture, 0, sector: 8, input: 512) == 1)
        #expect(try request(fixture, 0, sector: 0, input: 512) == 0)
    }

    @Test func `a request without room for its status stops the device until it is reset`() throws {
        try fixture.queues[0].offer(readable: [(Place.header, 16)])
        fixture.kick(0)
        #expect(try fixture.complaint().contains("noStatus"))
        #expect(fixture.status & 64 != 0, "DEVICE_NEEDS_RESET")
        fixture.write(0x70, 0)
        #expect(fixture.status == 0)
    }
}
