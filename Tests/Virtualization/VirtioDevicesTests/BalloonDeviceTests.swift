import MachineMemory
import Testing
import Virtio
import VirtioDriver

@testable import VirtioDevices

@Suite("Balloon", .timeLimit(.minutes(10))) final class BalloonDeviceTests {
    private static let page: UInt64 = 4096
    private static let list = DeviceFixture.buffers
    /// Where pages are given from: 16 of them, each filled with its number.
    private static let pages: UInt64 = 0x40_0000

    private let fixture: DeviceFixture

    init() throws {
        fixture = try DeviceFixture(BalloonDevice.description) { BalloonDevice($0) }
        for index in 0..<16 as Range<UInt64> {
            let bytes = [UInt8](repeating: UInt8(index + 1), count: Int(Self.page))
            try fixture.memory.write(bytes, at: GuestAddress(Self.pages + index * Self.page))
        }
    }

    /// Of the 16 pages, which are no longer what they were: all zeroes.
    private func discarded() throws -> [Int] {
        try (0..<16).filter { index in
            let address = GuestAddress(Self.pages + UInt64(index) * Self.page)
            let bytes = try fixture.memory.read(Int(Self.page), at: address)
            let isWhole = bytes.allSatisfy { $0 == UInt8(index + 1) }
            let isGone = bytes.allSatisfy { $0 == 0 }
            #expect(isWhole || isGone, "page \(index) is discarded whole or not at all")
            return isGone
        }
    }

    private func send(_ numbers: [UInt32], on queue: Int) throws {
        let bytes = numbers.flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
        try fixture.memory.write(bytes, at: GuestAddress(Self.list))
        try fixture.queues[queue].offer(readable: [(Self.list, UInt32(bytes.count))])
        fixture.kick(queue)
    }

    private func number(_ index: Int) -> UInt32 { UInt32(Self.pages / Self.page) + UInt32(index) }

    // MARK: Inflating

    @Test func `pages of the inflate queue are given back, and no others`() throws {
        try send([3, 4, 5, 9, 0].map(number), on: 0)
        #expect(try fixture.used(0).written == 0)
        #expect(try discarded() == [0, 3, 4, 5, 9])
    }

    @Test func `a page that was given back may be used again`() throws {
        try send([number(7)], on: 0)
        _ = try fixture.used(0)
        try send([number(7)], on: 1)
        _ = try fixture.used(1)
        try fixture.memory.write([1, 2, 3], at: GuestAddress(Self.pages + 7 * Self.page))
        #expect(try fixture.memory.read(3, at: GuestAddress(Self.pages + 7 * Self.page)) == [1, 2, 3])
    }

    @Test(arguments: [0x4000, 0xF_FFFF, 0xFFFF_FFFF] as [UInt32])
    func `a page that the machine does not have stops the device, and nothing of the list is done`(_ page: UInt32)
        throws
    {
        try send([number(1), page], on: 0)
        #expect(try fixture.complaint().contains("pageOutOfMemory"))
        #expect(try discarded() == [])
        #expect(fixture.status & 64 != 0, "DEVICE_NEEDS_RESET")
    }

    @Test func `a list beyond the limit stops the device before it is read`() throws {
        try fixture.queues[0].offer(readable: [(Self.list, 8 << 10)])
        fixture.kick(0)
        #expect(try fixture.complaint().contains("listTooLong"))
    }

    @Test func `an empty list and a page in part are nothing`() throws {
        try fixture.memory.write([4, 0, 0], at: GuestAddress(Self.list))
        try fixture.queues[0].offer(readable: [(Self.list, 3)])
        try fixture.queues[0].offer(writable: [(Self.list, 16)])
        fixture.kick(0)
        _ = try fixture.used(0)
        #expect(try discarded() == [])
        #expect(fixture.status == 15)
    }

    @Test func `what the deflate queue holds is not even read`() throws {
        try send([number(2), .max], on: 1)
        _ = try fixture.used(1)
        #expect(try discarded() == [])
        #expect(fixture.status == 15)
    }

    // MARK: Reports

    @Test func `reported pages are given back`() throws {
        try fixture.queues[2].offer(writable: [
            (Self.pages, UInt32(2 * Self.page)), (Self.pages + 8 * Self.page, UInt32(Self.page)),
        ])
        fixture.kick(2)
        #expect(try fixture.used(2).written == 0)
        #expect(try discarded() == [0, 1, 8])
    }

    @Test(
        arguments: [
            // Offset, count, and the pages that are wholly inside.
            (1, 4096, []), (4095, 2, []), (100, 8192, [1]), (4096, 4097, [1]), (4095, 4098, [1]), (0, 4095, []),
            (1, 1, []),
            (4096, 8191, [1]), (4096, 8192, [1, 2]),
        ] as [(UInt64, UInt32, [Int])]
    )
    func `of a report that is not whole pages only the whole ones are given back`(
        _ offset: UInt64,
        _ count: UInt32,
        _ pages: [Int],
    ) throws {
        try fixture.queues[2].offer(writable: [(Self.pages + offset, count)])
        fixture.kick(2)
        _ = try fixture.used(2)
        #expect(try discarded() == pages)
    }

    @Test func `a report of memory that is not there stops the device`() throws {
        try fixture.queues[2].offer(writable: [(Self.pages, 4096), (64 << 20, 4096)])
        fixture.kick(2)
        #expect(try fixture.complaint().contains("buffer"))
        #expect(try discarded() == [])
    }

    @Test func `buffers that the device may only read are no report`() throws {
        try fixture.queues[2].offer(readable: [(Self.pages, 4096)])
        fixture.kick(2)
        _ = try fixture.used(2)
        #expect(try discarded() == [])
    }

    @Test func `without the feature a report does nothing`() throws {
        fixture.write(0x70, 0)
        fixture.start(features: [.version1])
        try fixture.queues[2].offer(writable: [(Self.pages, 4096)])
        fixture.kick(2)
        // The queues are served in order, so what comes after shows that the report was passed over.
        try send([number(3)], on: 0)
        _ = try fixture.used(0)
        #expect(try discarded() == [3])
        #expect(try fixture.queues[2].takeUsed().isEmpty)
    }

    // MARK: Configuration

    @Test func `a target reaches the driver with an interrupt, and its answer the host`() throws {
        let control = BalloonControl(fixture.transport)
        let generation = fixture.read(0xFC)
        control.setTarget(10 << 20 | 17)
        #expect(fixture.read(0x100) == 2560)
        #expect(fixture.read(0x60) & 2 == 2, "a change of the configuration")
        #expect(fixture.read(0xFC) != generation)
        fixture.write(0x104, 2000)
        #expect(control.state == BalloonDevice.State(target: 2560, actual: 2000))
        control.setTarget(.max)
        #expect(control.state.target == .max)
    }

    @Test func `the driver writes its own field and no other`() {
        let control = BalloonControl(fixture.transport)
        for offset: UInt64 in [0x100, 0x108, 0x10C, 0x1FC, 0xFFC] { fixture.write(offset, 0xFFFF_FFFF) }
        #expect(control.state == BalloonDevice.State())
        fixture.transport.write(0x102, 0xAABB_CCDD, count: 4)
        #expect(control.state == BalloonDevice.State(target: 0, actual: 0xAABB))
        fixture.transport.write(0x107, 0xFF, count: 1)
        #expect(control.state == BalloonDevice.State(target: 0, actual: 0xFF00_AABB))
        fixture.transport.write(0x106, 0x1122_3344_5566_7788, count: 8)
        #expect(control.state == BalloonDevice.State(target: 0, actual: 0x7788_AABB))
        #expect(fixture.read(0x108) == 0)
        #expect(fixture.transport.page.load(UInt64.self, at: 0x106) == 0x7788)
    }

    @Test func `a balloon that was saved says the same after`() throws {
        BalloonControl(fixture.transport).setTarget(100 * Self.page)
        fixture.write(0x104, 99)
        let state = try fixture.suspendAndSave()
        let second = try DeviceFixture(replacing: fixture, BalloonDevice.description, state: state.encoded) {
            BalloonDevice($0)
        }
        #expect(BalloonControl(second.transport).state == BalloonDevice.State(target: 100, actual: 99))
        #expect(second.read(0x60) & 2 == 2, "the driver has not heard of the target yet")
    }
}

@Suite("Page runs") struct PageRunsTests {
    private static let layout = MachineMemoryLayout(size: 5 << 30)

    private func runs(_ pages: [UInt32]) throws -> [Range<UInt64>] {
        let bytes = pages.flatMap { page in (0..<4).map { UInt8(truncatingIfNeeded: page >> (8 * $0)) } }
        return try PageRuns(parsing: bytes, layout: Self.layout).runs
    }

    @Test func `neighbours are joined, up and down`() throws {
        #expect(try runs([]) == [])
        #expect(try runs([5]) == [5..<6])
        #expect(try runs([5, 6, 7, 9, 8, 3]) == [5..<8, 8..<10, 3..<4])
        #expect(try runs([7, 6, 5]) == [5..<8])
        #expect(try runs([5, 5]) == [5..<6, 5..<6])
    }

    @Test func `every page of the memory is one, and none of the gap or beyond the end`() throws {
        let gap = (first: UInt32(0xD0000), end: UInt32(0x100000))
        #expect(try runs([0, gap.first - 1, gap.end]).count == 3)
        #expect(throws: PageRuns.Violation(page: gap.first)) { try runs([gap.first]) }
        #expect(throws: PageRuns.Violation(page: gap.end - 1)) { try runs([gap.end - 1]) }
        // 5 GiB less what is below the gap, above 4 GiB.
        let end = gap.end + UInt32(((5 << 30) - 0xD000_0000) / 4096)
        #expect(try runs([end - 1]).count == 1)
        #expect(throws: PageRuns.Violation(page: end)) { try runs([end]) }
        #expect(throws: PageRuns.Violation(page: .max)) { try runs([.max]) }
    }
}
