import LinuxSystem
import MachineMemory
import Primitives
import Testing
import Virtio
import VirtioDriver

@testable import VirtioDevices

@Suite("Network", .timeLimit(.minutes(10))) final class NetworkDeviceTests {
    private enum Queue {
        static let receive = 0, transmit = 1
    }

    private static let description = NetworkDevice.description(mac: .ofGuest)
    private static let mergeable = VirtioFeatures(rawValue: 1 << 15)
    private static let header = [UInt8](repeating: 0, count: 12)

    private let host: OwnedFD
    private let fixture: DeviceFixture

    init() throws {
        let (host, guest) = try OwnedFD.socketPair().relinquish()
        self.host = OwnedFD(adopting: host)
        fixture = try Self.fixture(guest)
    }

    private static func fixture(
        _ guest: Int32,
        negotiating choose: (VirtioFeatures) -> VirtioFeatures = { $0 },
    ) throws -> DeviceFixture {
        try DeviceFixture(description, negotiating: choose) { try NetworkDevice($0, stream: guest) }
    }

    private static func frame(_ count: Int, _ seed: Int = 0) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 / 7 + seed) }
    }

    private static func framed(_ frame: [UInt8]) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: frame.count >> (24 - 8 * $0)) } + frame
    }

    /// Where the buffers of a test are.
    private func place(_ index: Int) -> UInt64 { DeviceFixture.buffers + UInt64(index) * 0x2_0000 }

    private func transmit(_ request: [UInt8], at index: Int = 0) throws {
        try fixture.memory.write(request, at: GuestAddress(place(index)))
        try fixture.queues[Queue.transmit].offer(readable: [(place(index), UInt32(request.count))])
        fixture.kick(Queue.transmit)
    }

    private func hear(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            #expect(try host.waitUntilReadable(for: .seconds(30)))
            guard case .bytes(let more) = try host.read(upTo: count - bytes.count) else { break }
            bytes += more
        }
        return bytes
    }

    /// All that is used of the receive queue until `count` buffers are.
    private func received(_ count: Int, _ fixture: DeviceFixture? = nil) throws -> [(head: UInt32, written: UInt32)] {
        var used: [(head: UInt32, written: UInt32)] = []
        while used.count < count { used += try (fixture ?? self.fixture).allUsed(Queue.receive) }
        return used
    }

    private var linkStatus: UInt16 { fixture.transport.page.load(at: 0x106) }

    // MARK: What it says of itself

    @Test func `the guest reads its address, its link and its MTU`() {
        let mac = (0..<6).map { fixture.transport.page.load(UInt8.self, at: 0x100 + $0) }
        #expect(mac == [0x52, 0x54, 0, 0x12, 0x34, 0x56])
        #expect(linkStatus == 1)
        #expect(fixture.transport.page.load(UInt16.self, at: 0x10A) == 65520)
    }

    // MARK: From the guest

    @Test func `a frame goes out after its length`() throws {
        let frame = Self.frame(1514)
        try transmit(Self.header + frame)
        #expect(try hear(4 + frame.count) == Self.framed(frame))
        #expect(try fixture.used(Queue.transmit).written == 0)
    }

    @Test func `a frame in many buffers is one frame, and the longest goes out too`() throws {
        let frame = Self.frame(NetworkFrame.maxLength)
        try fixture.memory.write(Self.header + frame, at: GuestAddress(place(0)))
        let (start, count) = (place(0), UInt32(Self.header.count + frame.count))
        try fixture.queues[Queue.transmit].offer(
            readable: [(start, 5), (start + 5, 20), (start + 25, 4096), (start + 4121, count - 4121)]
        )
        fixture.kick(Queue.transmit)
        #expect(try hear(4 + frame.count) == Self.framed(frame))
    }

    @Test func `a peer that does not read holds the guest back, and then gets everything in order`() throws {
        let frames = (0..<16).map { Self.frame(60_000, $0) }
        for (index, frame) in frames.enumerated() {
            try fixture.memory.write(Self.header + frame, at: GuestAddress(place(index)))
            try fixture.queues[Queue.transmit].offer(readable: [(place(index), UInt32(Self.header.count + frame.count))]
            )
        }
        fixture.kick(Queue.transmit)
        var done = 0
        // More is not taken than the device and the socket hold.
        while try host.waitUntilReadable(for: .zero) == false {}
        done += try fixture.allUsed(Queue.transmit).count
        #expect(done < frames.count)
        #expect(try hear(frames.count * 60_004) == frames.flatMap(Self.framed))
        while done < frames.count { done += try fixture.allUsed(Queue.transmit).count }
    }

    @Test(
        arguments: [
            ([UInt8](repeating: 0, count: 11), "header(count: 11)"),
            ([UInt8](repeating: 0, count: 25), "length(count: 13)"),
            ([UInt8](repeating: 0, count: 12 + 65539), "length(count: 65539)"),
            ([UInt8](repeating: 0, count: 12 + 65554), "request(count: 65566)"),
            ([0, 77] + [UInt8](repeating: 0, count: 100), "notNegotiated"),
            ([1, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 100), "checksum"),
        ] as [([UInt8], String)]
    )
    func `a request that is no frame stops the device by name, and the host gets none of it`(
        _ request: [UInt8],
        _ name: String,
    ) throws {
        try transmit(request)
        #expect(try fixture.complaint().contains(name))
        #expect(fixture.status & 64 != 0, "DEVICE_NEEDS_RESET")
        #expect(try host.waitUntilReadable(for: .zero) == false)
        #expect(linkStatus == 1)
    }

    // MARK: To the guest

    @Test func `a frame fills one buffer, behind a header that says so`() throws {
        let frame = Self.frame(600)
        try host.writeAll(Self.framed(frame))
        try fixture.queues[Queue.receive].offer(writable: [(place(0), 2048)])
        fixture.kick(Queue.receive)
        #expect(try received(1)[0].written == 612)
        let bytes = try fixture.memory.read(612, at: GuestAddress(place(0)))
        #expect(bytes == [UInt8](repeating: 0, count: 10) + [1, 0] + frame)
    }

    @Test func `a long frame is spread over buffers that come back together`() throws {
        let frame = Self.frame(9000)
        for index in 0..<6 {
            try fixture.queues[Queue.receive].offer(writable: [(place(index), 1000), (place(index) + 4096, 1000)])
        }
        fixture.kick(Queue.receive)
        try host.writeAll(Self.framed(frame))
        let used = try fixture.allUsed(Queue.receive)
        #expect(used.map(\.written) == [2000, 2000, 2000, 2000, 1012], "all in one step of the index")
        var bytes: [UInt8] = []
        for index in 0..<5 {
            bytes += try fixture.memory.read(1000, at: GuestAddress(place(index)))
            bytes += try fixture.memory.read(1000, at: GuestAddress(place(index) + 4096))
        }
        #expect(bytes.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0])
        #expect(bytes[12..<9012].elementsEqual(frame))
    }

    @Test func `a frame waits for enough buffers, and the driver is asked to kick for the next`() throws {
        let frame = Self.frame(3000)
        try fixture.queues[Queue.receive].offer(writable: [(place(0), 1024)])
        fixture.kick(Queue.receive)
        try host.writeAll(Self.framed(frame))
        // The device asks for a kick when the index goes beyond the one buffer that it knows of.
        try fixture.untilKickIsAsked(0, forRequest: 1)
        #expect(try fixture.queues[Queue.receive].takeUsed().isEmpty)
        for index in 1...2 { try fixture.queues[Queue.receive].offer(writable: [(place(index), 1024)]) }
        fixture.kick(Queue.receive)
        #expect(try received(3).map(\.written) == [1024, 1024, 964])
    }

    @Test func `without buffers the peer is held back, and then everything arrives in order`() throws {
        try host.setNonBlocking()
        let stream = (0..<200).flatMap { Self.framed(Self.frame(5000, $0)) }
        var rest = stream[...]
        // Until the device has stopped reading: the socket stays full.
        var refusals = 0
        while refusals < 20 {
            switch try host.write(rest.prefix(1 << 20)) {
            case .wrote(let count):
                rest = rest.dropFirst(count)
                refusals = 0
            case .wouldBlock:
                refusals += 1
                try fixture.awaitInterrupt()
            }
        }
        #expect(rest.count > 0, "the device buffers no more than one read")
        var offered = 0
        var frames = 0
        while frames < 200 {
            while offered - frames < 8 {
                try fixture.queues[Queue.receive].offer(writable: [(place(offered % 16), 8192)])
                offered += 1
            }
            fixture.kick(Queue.receive)
            for used in try fixture.allUsed(Queue.receive) {
                #expect(used.written == 5012)
                let bytes = try fixture.memory.read(5012, at: GuestAddress(place(frames % 16)))
                #expect(bytes[12...].elementsEqual(Self.frame(5000, frames)))
                frames += 1
            }
            if !rest.isEmpty, case .wrote(let count) = try host.write(rest.prefix(1 << 20)) {
                rest = rest.dropFirst(count)
            }
        }
    }

    @Test func `a driver that does not merge loses what its buffer is too short for, and nothing else`() throws {
        let (host, guest) = try OwnedFD.socketPair().relinquish()
        let peer = OwnedFD(adopting: host)
        let fixture = try Self.fixture(guest) { $0.subtracting(Self.mergeable) }
        for index in 0..<4 { try fixture.queues[Queue.receive].offer(writable: [(place(index), 1526)]) }
        fixture.kick(Queue.receive)
        try peer.writeAll(Self.framed(Self.frame(1600)) + Self.framed(Self.frame(1514, 3)))
        #expect(try received(1, fixture)[0].written == 1526)
        #expect(try fixture.memory.read(1526, at: GuestAddress(place(0)))[12...].elementsEqual(Self.frame(1514, 3)))
    }

    @Test func `a buffer without room for a header stops the device`() throws {
        try fixture.queues[Queue.receive].offer(writable: [(place(0), 11)])
        fixture.kick(Queue.receive)
        try host.writeAll(Self.framed(Self.frame(100)))
        #expect(try fixture.complaint().contains("receiveBuffer(count: 11)"))
    }

    // MARK: The peer

    @Test(arguments: [0, 13, 65539, .max] as [UInt32])
    func `a peer that sends no frames stops the device, and the link stays down`(_ length: UInt32) throws {
        try fixture.queues[Queue.receive].offer(writable: [(place(0), 2048)])
        fixture.kick(Queue.receive)
        try host.writeAll((0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32($0))) })
        #expect(try fixture.complaint().contains("a frame of \(length) bytes"))
        #expect(fixture.status & 64 != 0)
        #expect(linkStatus == 0)
        fixture.write(0x70, 0)
        #expect(fixture.status == 0)
        #expect(linkStatus == 0)
    }

    @Test func `a peer that goes takes the link down, and what is sent then goes nowhere`() throws {
        let generation = fixture.read(0xFC)
        try fixture.queues[Queue.receive].offer(writable: [(place(0), 2048)])
        fixture.kick(Queue.receive)
        try host.shutDown()
        let deadline = ContinuousClock.now + .seconds(30)
        while linkStatus == 1, ContinuousClock.now < deadline { try fixture.awaitInterrupt() }
        #expect(linkStatus == 0)
        #expect(fixture.read(0xFC) != generation)
        try transmit(Self.header + Self.frame(60))
        _ = try fixture.used(Queue.transmit)
        #expect(fixture.read(0x60) & 2 != 0, "the configuration has changed")
        #expect(fixture.status == 15)
    }

    @Test func `a device that goes on elsewhere has a new cable, and the rest of a frame is not sent on it`() throws {
        for index in 0..<12 {
            try fixture.memory.write(Self.header + Self.frame(60_000, index), at: GuestAddress(place(index)))
            try fixture.queues[Queue.transmit].offer(readable: [(place(index), 60_012)])
        }
        fixture.kick(Queue.transmit)
        #expect(try host.waitUntilReadable(for: .seconds(30)))
        var done = try fixture.allUsed(Queue.transmit).count
        let state = try fixture.suspendAndSave()
        done += try fixture.queues[Queue.transmit].takeUsed().count
        #expect(state.registers.queues[1].nextUsed == UInt16(done))
        let (newHost, newGuest) = try OwnedFD.socketPair().relinquish()
        let peer = OwnedFD(adopting: newHost)
        let second = try DeviceFixture(replacing: fixture, Self.description, state: state.encoded) {
            try NetworkDevice($0, stream: newGuest)
        }
        #expect(done < 12)
        let expected = (done..<12).flatMap { Self.framed(Self.frame(60_000, $0)) }
        var received: [UInt8] = []
        while received.count < expected.count {
            guard case .bytes(let bytes) = try peer.read(upTo: 1 << 20) else { break }
            received += bytes
        }
        #expect(received == expected)
        #expect(second.status == 15)
    }
}
