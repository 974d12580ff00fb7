import LinuxSystem
import MachineMemory
import Testing
import Virtio
import VirtioDriver

@testable import VirtioDevices

@Suite("A device that goes on in another process", .timeLimit(.minutes(10))) struct DeviceStateTests {
    private static let console = ConsoleDevice.description(portCount: 1)

    private func console(
        _ guest: Int32
    ) -> @Sendable (VirtioDeviceContext) throws -> any VirtioDevice {
        { try ConsoleDevice($0, ports: [("voidbox.control", guest)]) }
    }

    @Test func `a console half way through a request sends the rest, and receives what comes after`() throws {
        let (host, guest) = try OwnedFD.socketPair().relinquish()
        let firstHost = OwnedFD(adopting: host)
        let first = try DeviceFixture(Self.console, make: console(guest))
        let message = DeviceFixture.buffers + 0x5000
        // DEVICE_READY, which asks for two messages that there are no buffers for, and PORT_OPEN.
        for (event, offset) in [(0, 0), (3, 16), (6, 32)] as [(UInt8, UInt64)] {
            try first.memory.write([0, 0, 0, 0, event, 0, 1, 0], at: GuestAddress(message + offset))
            try first.queues[3].offer(readable: [(message + offset, 8)])
            first.kick(3)
            _ = try first.used(3)
        }
        // More than a socket takes.
        let count: UInt32 = 4 << 20
        let address = DeviceFixture.buffers + 0x10_0000
        let data = (0..<Int(count)).map { UInt8(truncatingIfNeeded: $0 / 251) }
        try first.memory.write(data, at: GuestAddress(address))
        let head = try first.queues[1].offer(readable: [(address, count)])
        first.kick(1)
        #expect(try firstHost.waitUntilReadable(for: .seconds(30)))

        let state = try first.suspendAndSave()
        #expect(state.registers.queues[1].nextAvailable == state.registers.queues[1].nextUsed)
        let device = try ConsoleDevice.State(decoding: #require(state.device))
        #expect(device.messages.count == 3)
        #expect(device.ports[0].isOpen)
        let sent = Int(device.ports[0].sentOfFirst)
        #expect(sent > 0 && sent < Int(count))
        try firstHost.setNonBlocking()
        var received: [UInt8] = []
        while case .bytes(let bytes) = try firstHost.read(upTo: 1 << 20) { received += bytes }
        #expect(received == Array(data.prefix(sent)))

        let (newHost, newGuest) = try OwnedFD.socketPair().relinquish()
        let secondHost = OwnedFD(adopting: newHost)
        let second = try DeviceFixture(
            replacing: first,
            Self.console,
            state: state.encoded,
            make: console(newGuest),
        )
        while received.count < data.count {
            guard case .bytes(let bytes) = try secondHost.read(upTo: 1 << 20) else { break }
            received += bytes
        }
        #expect(received == data)
        #expect(try second.used(1).head == UInt32(head))

        try secondHost.writeAll("from another host")
        try second.queues[0].offer(writable: [(DeviceFixture.buffers, 4096)])
        second.kick(0)
        let used = try second.used(0)
        let text = try second.memory.read(Int(used.written), at: GuestAddress(DeviceFixture.buffers))
        #expect(text == Array("from another host".utf8))
        // PORT_ADD comes first still.
        try second.queues[2].offer(writable: [(message, 64)])
        second.kick(2)
        #expect(try second.used(2).written == 8)
        #expect(try second.memory.read(8, at: GuestAddress(message)) == [0, 0, 0, 0, 1, 0, 0, 0])
    }

    @Test func `a request that was made available while nobody served is served by the other`() throws {
        let first = try DeviceFixture(EntropyDevice.description) { EntropyDevice($0) }
        try first.queues[0].offer(writable: [(DeviceFixture.buffers, 8)])
        first.kick(0)
        _ = try first.used(0)
        try first.thread.suspend()
        let head = try first.queues[0].offer(writable: [(DeviceFixture.buffers, 64)])
        first.kick(0)
        let state = try first.transport.save()
        #expect(state.registers.queues[0].nextUsed == 1)
        let second = try DeviceFixture(
            replacing: first,
            EntropyDevice.description,
            state: state.encoded,
        ) { EntropyDevice($0) }
        let used = try second.used(0)
        #expect(used.head == UInt32(head))
        #expect(used.written == 64)
        #expect(second.status == 15)
    }

    @Test func `a suspended device goes on when it resumes`() throws {
        let fixture = try DeviceFixture(EntropyDevice.description) { EntropyDevice($0) }
        let before = try fixture.suspendAndSave()
        try fixture.queues[0].offer(writable: [(DeviceFixture.buffers, 64)])
        fixture.kick(0)
        #expect(try fixture.transport.save() == before)
        fixture.thread.resume()
        #expect(try fixture.used(0).written == 64)
    }

    @Test func `a device without a driver is saved as that`() throws {
        let first = try DeviceFixture(EntropyDevice.description) { EntropyDevice($0) }
        first.write(0x70, 0)
        let state = try first.suspendAndSave()
        #expect(state.device == nil)
        let second = try DeviceFixture(
            replacing: first,
            EntropyDevice.description,
            state: state.encoded,
        ) { EntropyDevice($0) }
        #expect(second.status == 0)
    }

    @Test func `a device that stopped over its driver stays stopped until it is reset`() throws {
        let first = try DeviceFixture(EntropyDevice.description) { EntropyDevice($0) }
        try first.queues[0].setAvailableIndex(100)
        first.kick(0)
        _ = try first.complaint()
        let state = try first.suspendAndSave()
        #expect(state.needsReset)
        let second = try DeviceFixture(
            replacing: first,
            EntropyDevice.description,
            state: state.encoded,
        ) { EntropyDevice($0) }
        #expect(second.status == 15 | 64)
        second.write(0x70, 0)
        #expect(second.status == 0)
    }

    @Test func `a disk of another size is not the same disk`() throws {
        func disk(_ size: UInt64) -> VirtioDeviceDescription {
            BlockDevice.description(BlockDevice.Disk(serial: "x", size: size, isReadOnly: false))
        }
        func make(_ size: UInt64) throws -> @Sendable (VirtioDeviceContext) throws -> any VirtioDevice {
            let file = try OwnedFD.memoryFile(named: "disk").relinquish()
            let disk = BlockDevice.Disk(serial: "x", size: size, isReadOnly: false)
            return { BlockDevice($0, disk, file: OwnedFD(adopting: file)) }
        }
        let first = try DeviceFixture(disk(8192), make: make(8192))
        let state = try first.suspendAndSave()
        #expect(throws: RestoreViolation.self) {
            try DeviceFixture(replacing: first, disk(4096), state: state.encoded, make: make(4096))
        }
    }

    /// Bytes that somebody changed are refused or make a device that works as well as it can; nothing traps.
    @Test func `no state harms`() throws {
        let (host, guest) = try OwnedFD.socketPair().relinquish()
        _ = OwnedFD(adopting: host)
        let first = try DeviceFixture(Self.console, make: console(guest))
        let bytes = try first.suspendAndSave().encoded
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<200 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = random.next()
            }
            let (host, guest) = try OwnedFD.socketPair().relinquish()
            _ = OwnedFD(adopting: host)
            do {
                let second = try DeviceFixture(replacing: first, Self.console, state: changed, make: console(guest))
                second.kick(1)
                second.write(0x70, 0)
                #expect(second.status == 0)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 0)
    }
}
