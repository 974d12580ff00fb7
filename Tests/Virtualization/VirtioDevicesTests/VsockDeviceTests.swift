import Foundation
import LinuxSystem
import MachineMemory
import Testing
import Virtio
import VirtioDriver
import WorkerProtocol

@testable import VirtioDevices

@Suite("Vsock", .timeLimit(.minutes(10))) final class VsockDeviceTests {
    private enum Queue {
        static let receive = 0, transmit = 1
    }

    private static let out = DeviceFixture.buffers
    private static let into = DeviceFixture.buffers + 0x10_0000
    private static let bufferSize: UInt32 = 4096

    private let path: String
    private let dialler: OwnedFD
    private let fixture: DeviceFixture
    /// Where each receive buffer is, by its head.
    private var buffers: [UInt32: UInt64] = [:]
    private var offered: UInt64 = 0

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "voidbox-\(UUID())").path
        let listener = try OwnedFD.listening(onUnixSocket: path, backlog: 8).relinquish()
        let (first, second) = try OwnedFD.messageSocketPair().relinquish()
        dialler = OwnedFD(adopting: first)
        fixture = try DeviceFixture(VsockDevice.description(guestCID: 3)) {
            try VsockDevice(
                $0,
                guestCID: 3,
                listener: OwnedFD(adopting: listener),
                dialler: OwnedFD(adopting: second),
            )
        }
        try offerBuffers(8)
    }

    deinit {
        try? FileSystem.remove(path)
    }

    // MARK: The guest

    private func offerBuffers(_ count: Int) throws {
        for _ in 0..<count {
            let address = Self.into + (offered % 16) * UInt64(Self.bufferSize)
            offered += 1
            let head = try fixture.queues[Queue.receive].offer(writable: [(address, Self.bufferSize)])
            buffers[UInt32(head)] = address
        }
        fixture.kick(Queue.receive)
    }

    private func send(
        _ operation: VsockPacket.Operation,
        from guestPort: UInt32,
        to hostPort: UInt32,
        data: [UInt8] = [],
        flags: VsockPacket.Shutdown = [],
        taken: UInt32 = 0,
    ) throws {
        let packet = VsockPacket(
            sourceCID: 3,
            destinationCID: 2,
            sourcePort: guestPort,
            destinationPort: hostPort,
            length: UInt32(data.count),
            rawOperation: operation.rawValue,
            flags: flags.rawValue,
            window: 64 << 10,
            taken: taken,
        )
        try fixture.memory.write(packet.encoded + data, at: GuestAddress(Self.out))
        // In two pieces, and the cut is not where the header ends.
        let count = UInt32(VsockPacket.headerLength + data.count)
        try fixture.queues[Queue.transmit].offer(readable: [(Self.out, 40), (Self.out + 40, count - 40)])
        fixture.kick(Queue.transmit)
        _ = try fixture.used(Queue.transmit)
    }

    private func takeBuffer(_ head: UInt32) throws -> UInt64 {
        guard let address = buffers.removeValue(forKey: head) else { throw DeviceFixture.Silence() }
        return address
    }

    /// The next packet for the guest, whose buffer is offered again.
    private func receive() throws -> (VsockPacket, data: [UInt8]) {
        let used = try fixture.used(Queue.receive)
        let address = try takeBuffer(used.head)
        let bytes = try fixture.memory.read(Int(used.written), at: GuestAddress(address))
        let packet = try VsockPacket(parsing: bytes)
        let data = Array(bytes.dropFirst(VsockPacket.headerLength))
        #expect(data.count == Int(packet.length))
        try offerBuffers(1)
        return (packet, data)
    }

    // MARK: The host

    /// Connects as a program of the host does, and says its first line.
    private func knock(_ line: String) throws -> OwnedFD {
        guard let host = try OwnedFD.connected(toUnixSocket: path) else { throw DeviceFixture.Silence() }
        try host.writeAll(line)
        return host
    }

    private func dialRequest() throws -> DialRequest {
        guard try dialler.waitUntilReadable(for: .seconds(30)) else { throw DeviceFixture.Silence() }
        guard let message = try dialler.receiveMessage(upTo: 100), let request = DialRequest(decoding: message.bytes)
        else { throw DeviceFixture.Silence() }
        return request
    }

    /// A connection that the guest opened; the host's end of it.
    private func dialled(_ guestPort: UInt32, _ hostPort: UInt32) throws -> OwnedFD {
        try send(.request, from: guestPort, to: hostPort)
        let request = try dialRequest()
        #expect(request.port == hostPort)
        let (ours, theirs) = try OwnedFD.socketPair().relinquish()
        let stream = OwnedFD(adopting: theirs)
        try dialler.sendMessage(DialReply(id: request.id, isConnected: true).encoded, descriptor: stream)
        #expect(try receive().0.operation == .response)
        return OwnedFD(adopting: ours)
    }

    // MARK: Tests

    @Test func `a program of the host connects, and bytes cross both ways`() throws {
        let host = try knock("CONNECT 5000\nearly")
        let request = try receive().0
        #expect(request.operation == .request && request.destinationPort == 5000)
        try send(.response, from: 5000, to: request.sourcePort)
        #expect(try host.read(upTo: 100) == .bytes(Array("OK \(request.sourcePort)\n".utf8)))
        #expect(try receive().data == Array("early".utf8))
        try host.writeAll("later")
        #expect(try receive().data == Array("later".utf8))
        try send(.readWrite, from: 5000, to: request.sourcePort, data: Array("answer".utf8))
        #expect(try host.read(upTo: 100) == .bytes(Array("answer".utf8)))
    }

    @Test func `a port that nobody listens on closes the host's stream without a word`() throws {
        let host = try knock("CONNECT 5000\n")
        let request = try receive().0
        try send(.reset, from: 5000, to: request.sourcePort)
        #expect(try host.read(upTo: 100) == .endOfFile)
    }

    @Test func `who says something else is shown out, and the next one is heard`() throws {
        let rude = try knock("GET / HTTP/1.0\n")
        #expect(try rude.read(upTo: 100) == .endOfFile)
        let polite = try knock("CONNECT 1\n")
        defer { _ = polite.rawValue }
        #expect(try receive().0.destinationPort == 1)
    }

    @Test func `the guest connects to a port of the host by way of the dialler`() throws {
        let host = try dialled(1000, 8080)
        try host.writeAll("hello")
        #expect(try receive().data == Array("hello".utf8))
        try send(.readWrite, from: 1000, to: 8080, data: Array("you".utf8))
        #expect(try host.read(upTo: 100) == .bytes(Array("you".utf8)))
    }

    @Test func `a dial that is refused is refused to the guest, and so are all when the dialler is gone`() throws {
        try send(.request, from: 1000, to: 8080)
        let request = try dialRequest()
        try dialler.sendMessage(DialReply(id: request.id &+ 77, isConnected: true).encoded)
        try dialler.sendMessage([1, 2, 3])
        try dialler.sendMessage(DialReply(id: request.id, isConnected: false).encoded)
        #expect(try receive().0.operation == .reset)
        try dialler.shutDown()
        try send(.request, from: 1000, to: 8081)
        let answer = try receive().0
        #expect(answer.operation == .reset && answer.sourcePort == 8081)
    }

    @Test func `each side closes its half`() throws {
        let host = try dialled(1000, 8080)
        try host.shutDownWriting()
        let shutdown = try receive().0
        #expect(shutdown.operation == .shutdown && shutdown.shutdown == .send)
        try send(.readWrite, from: 1000, to: 8080, data: Array("last words".utf8))
        try send(.shutdown, from: 1000, to: 8080, flags: .send)
        #expect(try host.read(upTo: 100) == .bytes(Array("last words".utf8)))
        #expect(try host.read(upTo: 100) == .endOfFile)
        try send(.shutdown, from: 1000, to: 8080, flags: .both)
        var answer = try receive().0
        // The host's end counts as closed altogether as soon as both halves are.
        if answer.operation == .shutdown { answer = try receive().0 }
        #expect(answer.operation == .reset)
    }

    @Test func `a host that goes is told to the guest, and what it had sent comes first`() throws {
        let host = try dialled(1000, 8080)
        try host.writeAll("goodbye")
        _ = consume host
        #expect(try receive().data == Array("goodbye".utf8))
        let shutdown = try receive().0
        #expect(shutdown.operation == .shutdown && shutdown.shutdown.contains(.send))
        try send(.reset, from: 1000, to: 8080)
    }

    @Test func `a host that does not read gets a window, all of it when it reads, and the guest gets credit`() throws {
        let host = try dialled(1000, 8080)
        let piece = [UInt8](repeating: 0xAB, count: 16 << 10)
        for _ in 0..<16 { try send(.readWrite, from: 1000, to: 8080, data: piece) }
        try send(.creditRequest, from: 1000, to: 8080)
        var taken: UInt32 = 0
        var received = 0
        while received < 256 << 10 {
            guard case .bytes(let bytes) = try host.read(upTo: 1 << 20) else { break }
            #expect(bytes.allSatisfy { $0 == 0xAB })
            received += bytes.count
        }
        #expect(received == 256 << 10)
        while taken < 192 << 10 {
            let packet = try receive().0
            #expect(packet.operation == .creditUpdate)
            #expect(packet.taken >= taken)
            taken = packet.taken
        }
    }

    @Test func `more than the window costs the connection, and no other`() throws {
        let other = try dialled(1001, 8080)
        let silent = try dialled(1000, 8080)
        defer { _ = silent.rawValue }
        // The socket of a host that does not read takes some, so that the window is full a little later.
        let piece = [UInt8](repeating: 1, count: 64 << 10)
        var answer: VsockPacket?
        for _ in 0..<64 where answer == nil {
            try send(.readWrite, from: 1000, to: 8080, data: piece)
            if let used = try fixture.takeUsed(Queue.receive) {
                let address = try takeBuffer(used.head)
                answer = try VsockPacket(parsing: try fixture.memory.read(44, at: GuestAddress(address)))
                try offerBuffers(1)
                if answer?.operation == .creditUpdate { answer = nil }
            }
        }
        #expect(answer?.operation == .reset && answer?.destinationPort == 1000)
        try send(.readWrite, from: 1001, to: 8080, data: Array("still here".utf8))
        #expect(try other.read(upTo: 100) == .bytes(Array("still here".utf8)))
    }

    @Test func `data for the guest stops at its credit and goes on with more`() throws {
        let host = try dialled(1000, 8080)
        let data = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 251) }
        try host.setNonBlocking()
        try host.writeAll(data)
        var received: [UInt8] = []
        var asked = 0
        while received.count < data.count {
            let (packet, bytes) = try receive()
            received += bytes
            if packet.operation == .creditRequest {
                asked += 1
                #expect(received.count == 64 << 10)
                try send(.creditUpdate, from: 1000, to: 8080, taken: UInt32(received.count))
            }
        }
        #expect(received == data)
        #expect(asked == 1)
    }

    @Test func `a reset of the device closes everything, and it serves again after`() throws {
        let host = try dialled(1000, 8080)
        fixture.write(0x70, 0)
        #expect(try host.read(upTo: 100) == .endOfFile)
    }

    @Test func `a guest that goes on elsewhere hears that its connections are gone`() throws {
        let host = try dialled(1000, 8080)
        try host.writeAll("hello")
        #expect(try receive().data == Array("hello".utf8))
        let state = try fixture.suspendAndSave()
        let path = path + "-other"
        defer { try? FileSystem.remove(path) }
        let second = try DeviceFixture(
            replacing: fixture,
            VsockDevice.description(guestCID: 3),
            state: state.encoded,
        ) {
            let (first, second) = try OwnedFD.messageSocketPair().relinquish()
            _ = OwnedFD(adopting: first)
            let listener = try OwnedFD.listening(onUnixSocket: path, backlog: 1)
            return try VsockDevice($0, guestCID: 3, listener: listener, dialler: OwnedFD(adopting: second))
        }
        let used = try second.used(Queue.receive)
        let address = try takeBuffer(used.head)
        let packet = try VsockPacket(parsing: try second.memory.read(44, at: GuestAddress(address)))
        #expect(packet.operation == .reset && packet.destinationPort == 1000 && packet.sourcePort == 8080)
        // Others can connect.
        guard let visitor = try OwnedFD.connected(toUnixSocket: path) else { throw DeviceFixture.Silence() }
        try visitor.writeAll("CONNECT 7\n")
        let request = try takeBuffer(try second.used(Queue.receive).head)
        let header = try VsockPacket(parsing: try second.memory.read(44, at: GuestAddress(request)))
        #expect(header.operation == .request && header.destinationPort == 7)
    }

    // MARK: A driver that breaks the rules

    /// A device without receive buffers, to which nobody can connect.
    private func bareFixture() throws -> DeviceFixture {
        let path = path + "-other"
        return try DeviceFixture(VsockDevice.description(guestCID: 3)) {
            let (first, second) = try OwnedFD.messageSocketPair().relinquish()
            _ = OwnedFD(adopting: first)
            let listener = try OwnedFD.listening(onUnixSocket: path, backlog: 1)
            try FileSystem.remove(path)
            return try VsockDevice($0, guestCID: 3, listener: listener, dialler: OwnedFD(adopting: second))
        }
    }

    private static let strayData = VsockPacket(
        sourceCID: 3,
        destinationCID: 2,
        sourcePort: 1,
        destinationPort: 2,
        rawOperation: VsockPacket.Operation.readWrite.rawValue,
    )

    @Test(arguments: [1, 43] as [UInt32]) func `a header that is cut stops the device`(_ count: UInt32) throws {
        try fixture.queues[Queue.transmit].offer(readable: [(Self.out, count)])
        fixture.kick(Queue.transmit)
        #expect(try fixture.complaint().contains("headerTooShort"))
    }

    @Test func `data that is not there stops the device`() throws {
        var packet = Self.strayData
        packet.length = .max
        try fixture.memory.write(packet.encoded, at: GuestAddress(Self.out))
        try fixture.queues[Queue.transmit].offer(readable: [(Self.out, 44)])
        fixture.kick(Queue.transmit)
        #expect(try fixture.complaint().contains("dataTooShort"))
    }

    @Test func `a receive buffer without room for data stops the device`() throws {
        let fixture = try bareFixture()
        try fixture.queues[Queue.receive].offer(writable: [(Self.into, 44)])
        try fixture.memory.write(Self.strayData.encoded, at: GuestAddress(Self.out))
        try fixture.queues[Queue.transmit].offer(readable: [(Self.out, 44)])
        fixture.kick(Queue.transmit)
        #expect(try fixture.complaint().contains("receiveBufferTooSmall"))
    }

    @Test func `a guest that takes no answers is not listened to for ever`() throws {
        let fixture = try bareFixture()
        try fixture.memory.write(Self.strayData.encoded, at: GuestAddress(Self.out))
        for _ in 0..<VsockMultiplexer.maxRefusals {
            try fixture.queues[Queue.transmit].offer(readable: [(Self.out, 44)])
            fixture.kick(Queue.transmit)
            _ = try fixture.used(Queue.transmit)
        }
        try fixture.queues[Queue.transmit].offer(readable: [(Self.out, 44)])
        fixture.kick(Queue.transmit)
        // Room for one answer lets one packet in.
        try fixture.queues[Queue.receive].offer(writable: [(Self.into, 4096)])
        fixture.kick(Queue.receive)
        _ = try fixture.used(Queue.receive)
        _ = try fixture.used(Queue.transmit)
    }
}
