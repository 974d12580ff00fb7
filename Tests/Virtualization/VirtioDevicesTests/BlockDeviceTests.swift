import LinuxSystem
import MachineMemory
import Primitives
import Testing
import Virtio
import VirtioDriver

@testable import VirtioDevices

@Suite("Disk", .timeLimit(.minutes(10))) final class BlockDeviceTests {
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

    private static func fixture(
        _ file: borrowing OwnedFD,
        isReadOnly: Bool,
        limit: TransferLimit = .none,
    ) throws -> DeviceFixture {
        let disk = BlockDevice.Disk(serial: "scratch", size: UInt64(contents.count), isReadOnly: isReadOnly)
        let copy = try file.duplicate().relinquish()
        return try DeviceFixture(BlockDevice.description(disk)) {
            BlockDevice($0, disk, file: OwnedFD(adopting: copy), limit: limit)
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
        for (kind, flags) in [(11, 0), (13, 0), (13, 1)] as [(UInt32, UInt8)] {
            #expect(try request(fixture, 1, sector: 3, output: [UInt8](repeating: 7, count: 512)) == 0)
            #expect(try request(fixture, kind, output: Self.segment(sector: 3, flags: flags)) == 0)
            #expect(try sectors(3..<4) == [UInt8](repeating: 0, count: 512))
            #expect(try sectors(4..<5) == [UInt8](repeating: 5, count: 512))
        }
    }

    /// Of one sector.
    private static func segment(sector: UInt8, flags: UInt8 = 0) -> [UInt8] {
        [sector, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, flags, 0, 0, 0]
    }

    @Test func `segments with flags that they cannot have are unsupported, and nothing is done`() throws {
        #expect(try request(fixture, 11, output: Self.segment(sector: 3, flags: 1)) == 2, "unmap is for zeroes")
        #expect(try request(fixture, 13, output: Self.segment(sector: 3) + Self.segment(sector: 4, flags: 2)) == 2)
        #expect(try sectors(0..<16) == Self.contents)
    }

    @Test func `segments that are off the disk, too long, too many or not whole are an I/O error`() throws {
        for kind in [11, 13] as [UInt32] {
            for segments in [
                Self.segment(sector: 3) + Self.segment(sector: 16),
                [0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0],
                Array(Self.segment(sector: 3).prefix(15)),
                [UInt8](repeating: 0, count: 16 * (BlockRequest.maxSegments + 1)),
            ] {
                #expect(try request(fixture, kind, output: segments) == 1)
            }
        }
        #expect(try sectors(0..<16) == Self.contents)
    }

    @Test func `a driver that does not flush has its writes kept at once`() throws {
        fixture.write(0x70, 0)
        let flush = VirtioFeatures(rawValue: 1 << 9)
        // The rings of a driver that begins anew begin anew too.
        let again = try DeviceFixture(
            BlockDevice.description(.init(serial: "scratch", size: UInt64(Self.contents.count), isReadOnly: false)),
            negotiating: { $0.subtracting(flush) },
        ) { [copy = try file.duplicate().relinquish()] in
            BlockDevice(
                $0,
                .init(serial: "scratch", size: UInt64(Self.contents.count), isReadOnly: false),
                file: OwnedFD(adopting: copy),
            )
        }
        #expect(try request(again, 1, sector: 2, output: [UInt8](repeating: 9, count: 512)) == 0)
        #expect(try sectors(2..<3) == [UInt8](repeating: 9, count: 512))
    }

    // MARK: The limit

    /// Lays out flushes, which are nothing but operations.
    private func offerFlushes(_ count: UInt64, _ fixture: DeviceFixture) throws {
        try offer(count, kind: 4, fixture)
    }

    /// Lays out reads of all of the disk.
    private func offerReads(_ count: UInt64, _ fixture: DeviceFixture) throws {
        try offer(count, kind: 0, data: [(Place.data, UInt32(Self.contents.count))], fixture)
    }

    private func offer(
        _ count: UInt64,
        kind: UInt32,
        data: [(UInt64, UInt32)] = [],
        _ fixture: DeviceFixture,
    ) throws {
        for index in 0..<count {
            let header = try fixture.memory.range(at: GuestAddress(Place.header + 32 * index), count: 16)
            header.store(kind, at: 0)
            header.store(UInt64(0), at: 8)
            try fixture.queues[0].offer(
                readable: [(Place.header + 32 * index, 16)],
                writable: data + [(Place.status + index, 1)],
            )
        }
        fixture.kick(0)
    }

    @Test func `requests beyond the limit wait their turn`() throws {
        let limit = TransferLimit(operations: .init(perSecond: 50, burst: 2))
        let limited = try Self.fixture(file, isReadOnly: false, limit: limit)
        let start = ContinuousClock.now
        try offerFlushes(7, limited)
        var done = 0
        while done < 7 { done += try limited.allUsed(0).count }
        let elapsed = start.duration(to: .now)
        #expect(elapsed >= .milliseconds(98), "five of them at 50 in a second")
        #expect(limited.status == 15)
    }

    @Test func `a device that is reset while requests wait forgets them`() throws {
        let limit = TransferLimit(operations: .init(perSecond: 1, burst: 1))
        let limited = try Self.fixture(file, isReadOnly: false, limit: limit)
        try offerFlushes(3, limited)
        _ = try limited.allUsed(0)
        limited.write(0x70, 0)
        #expect(limited.status == 0)
    }

    @Test func `what was spent of the limit is spent for the device that goes on`() throws {
        // One byte and one operation come back in a second: in the time that the suite allows, neither the bytes of a read nor
        // what 800 operations took.
        let size = Int64(Self.contents.count)
        let limit = TransferLimit(
            bytes: .init(perSecond: 1, burst: 3 * UInt64(size)),
            operations: .init(perSecond: 1, burst: 1000),
        )
        let limited = try Self.fixture(file, isReadOnly: false, limit: limit)
        for _ in 0..<100 {
            try offerFlushes(8, limited)
            var flushed = 0
            while flushed < 8 { flushed += try limited.allUsed(0).count }
        }
        try offerReads(5, limited)
        var done = 0
        while done < 3 { done += try limited.allUsed(0).count }
        let state = try limited.suspendAndSave()
        let left = try BlockDevice.State(decoding: #require(state.device))
        #expect(left.bytesLeft < size)
        #expect((197..<800).contains(left.operationsLeft))
        #expect(state.registers.queues[0].nextUsed == state.registers.queues[0].nextAvailable)
        #expect(state.registers.queues[0].nextUsed == 803, "two wait")

        // It has served what it may when it is restored.
        let next = try successor(of: limited, state, limit)
        var later = try next.suspendAndSave()
        var leftLater = try BlockDevice.State(decoding: #require(later.device))
        #expect(leftLater.bytesLeft < size)
        #expect((197..<800).contains(leftLater.operationsLeft))
        #expect(later.registers.queues[0].nextUsed == 803, "two wait for this one as well")

        leftLater.bytesLeft = 2 * size
        later.device = leftLater.encoded
        let last = try successor(of: next, later, limit)
        while done < 5 { done += try last.allUsed(0).count }
    }

    /// A device in the place of another, from that one's state.
    private func successor(
        of other: DeviceFixture,
        _ state: MMIOTransport.State,
        _ limit: TransferLimit,
    ) throws -> DeviceFixture {
        let disk = BlockDevice.Disk(serial: "scratch", size: UInt64(Self.contents.count), isReadOnly: false)
        let copy = try file.duplicate().relinquish()
        return try DeviceFixture(replacing: other, BlockDevice.description(disk), state: state.encoded) {
            BlockDevice($0, disk, file: OwnedFD(adopting: copy), limit: limit)
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
