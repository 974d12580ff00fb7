import Foundation
import LinuxSystem
import MachineMemory
import SharedFS
import Testing
import Virtio
import VirtioDriver

@testable import VirtioDevices

/// Drivers that break the rules of the transport: every kind of device takes it the same way.
@Suite("Hostile driver", .timeLimit(.minutes(10))) struct HostileDriverTests {
    enum Kind: CaseIterable, Sendable, CustomTestStringConvertible {
        case console, entropy, disk, share, balloon, vsock

        var testDescription: String { "\(self)" }

        /// Whose requests are looked at when it is kicked.
        var servedQueue: Int { self == .console || self == .share || self == .vsock ? 1 : 0 }

        func fixture() throws -> DeviceFixture {
            switch self {
            case .console:
                let stream = try OwnedFD.socketPair().relinquish()
                _ = OwnedFD(adopting: stream.first)  // Nobody is there.
                return try DeviceFixture(ConsoleDevice.description(portCount: 1)) {
                    try ConsoleDevice($0, ports: [("port", stream.second)])
                }
            case .entropy: return try DeviceFixture(EntropyDevice.description) { EntropyDevice($0) }
            case .disk:
                let disk = BlockDevice.Disk(serial: "disk", size: 4096, isReadOnly: false)
                let contents = [UInt8](repeating: 7, count: 4096)
                return try DeviceFixture(BlockDevice.description(disk)) {
                    BlockDevice($0, disk, file: try OwnedFD.memoryFile(named: "disk", contents: contents))
                }
            case .balloon: return try DeviceFixture(BalloonDevice.description) { BalloonDevice($0) }
            case .vsock:
                let path = FileManager.default.temporaryDirectory.appending(path: "voidbox-\(UUID())").path
                let listener = try OwnedFD.listening(onUnixSocket: path, backlog: 1).relinquish()
                try FileSystem.remove(path)
                let sockets = try OwnedFD.messageSocketPair().relinquish()
                _ = OwnedFD(adopting: sockets.first)  // Nobody dials.
                return try DeviceFixture(VsockDevice.description(guestCID: 3)) {
                    try VsockDevice(
                        $0,
                        guestCID: 3,
                        listener: OwnedFD(adopting: listener),
                        dialler: OwnedFD(adopting: sockets.second),
                    )
                }
            case .share:
                let path = FileManager.default.temporaryDirectory.path
                return try DeviceFixture(FileSystemDevice.description(tag: "share")) {
                    FileSystemDevice($0, try FUSEServer(root: Directory(path), options: FUSEOptions()))
                }
            }
        }
    }

    @Test(
        arguments: Kind.allCases,
        [
            (0x80, .max - 15, "area"), (0x90, 0xD000_0000, "area"), (0xA0, (64 << 20) - 4, "area"),
            (0x80, 0x10_0008, "misaligned"), (0x90, 0x10_0001, "misaligned"), (0xA0, 0x10_0002, "misaligned"),
        ] as [(register: UInt64, place: UInt64, violation: String)],
    )
    func `rings that there are not stop the device until it is reset`(
        _ kind: Kind,
        _ ring: (register: UInt64, place: UInt64, violation: String),
    ) throws {
        let fixture = try kind.fixture()
        fixture.negotiate()
        fixture.place(queue: 0)
        fixture.write(0x44, 0)
        fixture.write(ring.register, ring.place & 0xFFFF_FFFF)
        fixture.write(ring.register + 4, ring.place >> 32)
        fixture.write(0x44, 1)
        fixture.write(0x70, 15)
        #expect(try fixture.complaint().contains(ring.violation))
        #expect(fixture.status & 64 != 0)
        fixture.kick(0)
        fixture.restart()
        #expect(fixture.status == 15)
    }

    @Test(arguments: Kind.allCases) func `a chain without an end stops the device until it is reset`(_ kind: Kind)
        throws
    {
        let fixture = try kind.fixture()
        let queue = fixture.queues[kind.servedQueue]
        try queue.setDescriptor(0, .init(DeviceFixture.buffers, 16, DriverQueue.Descriptor.next, next: 0))
        try queue.offer(0)
        fixture.kick(kind.servedQueue)
        #expect(try fixture.complaint().contains("chainTooLong"))
        #expect(fixture.status & 64 != 0)
        fixture.restart()
        #expect(fixture.status == 15)
    }

    @Test(arguments: Kind.allCases) func `a buffer larger than memory stops the device`(_ kind: Kind) throws {
        let fixture = try kind.fixture()
        try fixture.queues[kind.servedQueue].offer(writable: [(DeviceFixture.buffers, 128 << 20)])
        fixture.kick(kind.servedQueue)
        #expect(try fixture.complaint().contains("buffer"))
    }

    @Test(arguments: Kind.allCases) func `nothing is written to memory after a reset`(_ kind: Kind) throws {
        let fixture = try kind.fixture()
        let own = [UInt8](repeating: 0xA5, count: 128)
        for _ in 0..<200 {
            for (index, queue) in fixture.queues.enumerated() {
                for _ in 0..<8 { try queue.offer(writable: [(DeviceFixture.buffers, 64)]) }
                fixture.kick(index)
            }
            fixture.write(0x70, 0)
            // The memory is the driver's again.
            for queue in fixture.queues { try fixture.memory.write(own, at: GuestAddress(queue.state.device)) }
            try fixture.memory.write(own, at: GuestAddress(DeviceFixture.buffers))
            // Another reset waits for the device's thread, whatever that was doing.
            fixture.write(0x70, 0)
            for queue in fixture.queues {
                let ring = try fixture.memory.read(own.count, at: GuestAddress(queue.state.device))
                #expect(ring == own)
                try fixture.memory.write([UInt8](repeating: 0, count: 256), at: GuestAddress(queue.state.device))
                try queue.setAvailableIndex(0)
            }
            #expect(try fixture.memory.read(own.count, at: GuestAddress(DeviceFixture.buffers)) == own)
            fixture.restart()
        }
    }

    @Test(arguments: Kind.allCases) func `writes of any width and place do no more than be ignored`(_ kind: Kind)
        throws
    {
        let fixture = try kind.fixture()
        var random = SystemRandomNumberGenerator()
        for offset in UInt64(0)..<0x1008 {
            for count in 1...8 {
                fixture.transport.write(offset, random.next(), count: count)
            }
        }
        fixture.restart()
        #expect(fixture.status == 15)
    }

    @Test(arguments: Kind.allCases) func `a device serves after resets and kicks without end`(_ kind: Kind) throws {
        let fixture = try kind.fixture()
        for round in 0..<2000 as Range<UInt64> {
            fixture.write(MMIOTransport.notifyOffset, round % 8)
            fixture.write(MMIOTransport.notifyOffset, 0xFFFF_FFFF - round)
            fixture.write(0x70, 0)
        }
        fixture.restart()
        for round in 0..<20_000 { fixture.kick(round % 8) }
        #expect(fixture.status == 15)
    }

    @Test func `a console keeps no more messages than its bound for a driver without buffers`() throws {
        let fixture = try Kind.console.fixture()
        let message = GuestAddress(DeviceFixture.buffers)
        try fixture.memory.write([0, 0, 0, 0, 0, 0, 1, 0], at: message)
        for _ in 0..<1000 {
            try fixture.queues[3].offer(readable: [(message.rawValue, 8)])
            fixture.kick(3)
            _ = try fixture.used(3)
        }
        // A message without an answer, behind which the answers are there.
        try fixture.memory.write([0, 0, 0, 0, 9, 0, 1, 0], at: message)
        var answers = 0
        for _ in 0..<70 {
            try fixture.queues[2].offer(writable: [(DeviceFixture.buffers + 0x1000, 64)])
            fixture.kick(2)
            try fixture.queues[3].offer(readable: [(message.rawValue, 8)])
            fixture.kick(3)
            _ = try fixture.used(3)
            answers += try fixture.queues[2].takeUsed().count
        }
        #expect(answers > 0 && answers <= 64)
    }
}

extension DeviceFixture {
    fileprivate func negotiate() {
        write(0x70, 0)
        write(0x70, 1)
        write(0x70, 3)
        write(0x24, 1)
        write(0x20, 1)
        write(0x70, 11)
    }

    fileprivate func place(queue index: Int) {
        let state = queues[index].state
        write(0x30, UInt64(index))
        write(0x38, UInt64(state.size))
        write(0x80, state.descriptors)
        write(0x90, state.driver)
        write(0xA0, state.device)
        write(0x44, 1)
    }

    /// Resets the device and has it serve queues that are in order again.
    fileprivate func restart() {
        negotiate()
        for index in queues.indices {
            try? queues[index].setAvailableIndex(0)
            place(queue: index)
        }
        write(0x70, 15)
    }
}
