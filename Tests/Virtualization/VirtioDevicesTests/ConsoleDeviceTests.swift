import LinuxSystem
import MachineMemory
import Testing
import Virtio
import VirtioDriver

@testable import VirtioDevices

@Suite("Console", .timeLimit(.minutes(10))) final class ConsoleDeviceTests {
    private enum Queue {
        static let receive = 0, transmit = 1, controlReceive = 2, controlTransmit = 3
    }

    private let host: OwnedFD
    private let fixture: DeviceFixture

    init() throws {
        let (host, guest) = try OwnedFD.socketPair().relinquish()
        self.host = OwnedFD(adopting: host)
        fixture = try DeviceFixture(ConsoleDevice.description(portCount: 1)) {
            try ConsoleDevice($0, ports: [("voidbox.control", guest)])
        }
    }

    private func sendControl(event: UInt8, value: UInt8 = 1) throws {
        let address = DeviceFixture.buffers + 0x5000
        try fixture.memory.write([0, 0, 0, 0, event, 0, value, 0], at: GuestAddress(address))
        try fixture.queues[Queue.controlTransmit].offer(readable: [(address, 8)])
        fixture.kick(Queue.controlTransmit)
        _ = try fixture.used(Queue.controlTransmit)
    }

    private func receiveControl() throws -> [UInt8] {
        let address = DeviceFixture.buffers + 0x6000
        try fixture.queues[Queue.controlReceive].offer(writable: [(address, 64)])
        fixture.kick(Queue.controlReceive)
        return try fixture.memory.read(Int(try fixture.used(Queue.controlReceive).written), at: GuestAddress(address))
    }

    /// As the guest's kernel does it, up to a program that opened the port.
    private func open() throws {
        try sendControl(event: 0)
        #expect(try receiveControl() == [0, 0, 0, 0, 1, 0, 0, 0], "PORT_ADD")
        try sendControl(event: 3)
        #expect(try receiveControl() == [0, 0, 0, 0, 7, 0, 1, 0] + Array("voidbox.control".utf8), "PORT_NAME")
        #expect(try receiveControl() == [0, 0, 0, 0, 6, 0, 1, 0], "PORT_OPEN")
        try sendControl(event: 6)
    }

    @Test func `a port is named and opened, and bytes cross both ways`() throws {
        try open()
        let address = DeviceFixture.buffers
        try fixture.memory.write(Array("from the guest".utf8), at: GuestAddress(address))
        try fixture.queues[Queue.transmit].offer(readable: [(address, 5), (address + 5, 9)])
        fixture.kick(Queue.transmit)
        _ = try fixture.used(Queue.transmit)
        #expect(try host.read(upTo: 100) == .bytes(Array("from the guest".utf8)))

        try host.writeAll("from the host")
        try fixture.queues[Queue.receive].offer(writable: [(address, 4096)])
        fixture.kick(Queue.receive)
        let used = try fixture.used(Queue.receive)
        #expect(try fixture.memory.read(Int(used.written), at: GuestAddress(address)) == Array("from the host".utf8))
    }

    @Test func `a host that closes is told to the guest, and what the guest sends then goes nowhere`() throws {
        try open()
        try fixture.queues[Queue.receive].offer(writable: [(DeviceFixture.buffers, 4096)])
        fixture.kick(Queue.receive)
        try host.shutDown()
        #expect(try receiveControl() == [0, 0, 0, 0, 6, 0, 0, 0], "PORT_OPEN 0")
        try fixture.queues[Queue.transmit].offer(readable: [(DeviceFixture.buffers, 4)])
        fixture.kick(Queue.transmit)
        _ = try fixture.used(Queue.transmit)
    }

    @Test func `more than the host takes at once arrives whole and in order`() throws {
        try open()
        let count: UInt32 = 4 << 20
        let address = DeviceFixture.buffers + 0x10_0000
        let data = (0..<Int(count)).map { UInt8(truncatingIfNeeded: $0 / 251) }
        try fixture.memory.write(data, at: GuestAddress(address))
        try fixture.queues[Queue.transmit].offer(readable: [(address, count)])
        fixture.kick(Queue.transmit)
        var received: [UInt8] = []
        while received.count < Int(count) {
            guard case .bytes(let bytes) = try host.read(upTo: 1 << 20) else { break }
            received += bytes
        }
        #expect(received == data)
        _ = try fixture.used(Queue.transmit)
    }

    @Test func `a control message that is too short stops the device`() throws {
        try fixture.queues[Queue.controlTransmit].offer(readable: [(DeviceFixture.buffers, 7)])
        fixture.kick(Queue.controlTransmit)
        #expect(try fixture.complaint().contains("controlMessage"))
    }
}

@Suite("Entropy", .timeLimit(.minutes(10))) struct EntropyDeviceTests {
    @Test func `a request is filled, and one without end is filled up to the limit`() throws {
        let fixture = try DeviceFixture(EntropyDevice.description) { EntropyDevice($0) }
        try fixture.queues[0].offer(writable: [(DeviceFixture.buffers, 64)])
        fixture.kick(0)
        #expect(try fixture.used(0).written == 64)
        let bytes = try fixture.memory.read(64, at: GuestAddress(DeviceFixture.buffers))
        #expect(Set(bytes).count > 8)
        try fixture.queues[0].offer(writable: [(DeviceFixture.buffers, 32 << 20)])
        fixture.kick(0)
        #expect(try fixture.used(0).written == 64 << 10)
    }
}
