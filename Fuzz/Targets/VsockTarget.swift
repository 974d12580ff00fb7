@testable import VirtioDevices

extension FuzzTarget {
    /// Steps of eight bytes: a packet of the guest on one of few ports, or something that the host does. What is held against the
    /// multiplexer is its bounds, and that it asks for nothing that cannot be.
    static let vsock = FuzzTarget("vsock") { bytes in
        var greeting = VsockGreeting()
        _ = greeting.receive(bytes)
        _ = try? VsockPacket(parsing: bytes)
        var input = InputReader(bytes)
        var host = Host()
        while !input.isAtEnd { host.step(&input) }
        var restored = VsockMultiplexer(guestCID: 3)
        restored.restore(host.multiplexer.state)
        while let turn = restored.next() {
            guard case .packet(let packet) = turn, packet.operation == .reset else {
                fatalError("after a restore there are resets")
            }
        }
    }
}

/// The host's part: what is delivered is kept, and taken a piece at a time.
private struct Host {
    var multiplexer = VsockMultiplexer(guestCID: 3)
    var dials: [VsockMultiplexer.ID] = []
    var streams: [VsockMultiplexer.ID: (unsent: Int, isClosing: Bool)] = [:]

    mutating func perform(_ command: VsockMultiplexer.Command) {
        switch command {
        case .none: break
        case .dial(let id, _): dials.append(id)
        case .connected(let id): multiplexer.hostIsReadable(id)
        case .deliver(let id, let count):
            precondition(streams[id] != nil, "data goes to a stream that is open")
            streams[id]?.unsent += count
        case .shutDown(let id, let flags): precondition(streams[id] != nil && !flags.isEmpty)
        case .close(let id, let afterFlush):
            dials.removeAll { $0 == id }
            if afterFlush {
                precondition((streams[id]?.unsent ?? 0) > 0, "there is something to wait for")
                streams[id]?.isClosing = true
            } else {
                streams[id] = nil
            }
        }
    }

    /// Takes `count` bytes of a stream.
    mutating func take(_ id: VsockMultiplexer.ID, _ count: Int) {
        guard let stream = streams[id] else { return }
        let count = min(count, stream.unsent)
        streams[id]?.unsent -= count
        multiplexer.forwarded(id, count)
        if stream.isClosing, stream.unsent == count {
            multiplexer.abandon(id)
            streams[id] = nil
        }
    }

    mutating func give(_ limit: Int) {
        switch multiplexer.next() {
        case nil: break
        case .packet(let packet):
            precondition(packet.destinationCID == 3, "packets are the guest's")
            precondition((try? VsockPacket(parsing: packet.encoded)) == packet)
        case .data(let id, let most):
            precondition(most > 0 && most <= 64 << 10 && streams[id] != nil)
            switch limit % 4 {
            case 0: multiplexer.hostIsDry(id)
            case 1: _ = multiplexer.hostShutDown(id, .send)
            default:
                let header = multiplexer.dataSent(id, min(limit, most))
                precondition(header?.length == UInt32(min(limit, most)))
            }
        }
    }

    func check() {
        let load = multiplexer.load
        precondition(load.connections <= 2 * VsockMultiplexer.maxConnections)
        precondition(load.refusals <= VsockMultiplexer.maxRefusals + 2 * VsockMultiplexer.maxConnections + 1)
        precondition(load.buffered <= load.connections * 256 << 10)
        // A host that takes nothing more is counted as if it had.
        precondition(streams.count + dials.count <= load.connections)
    }

    mutating func step(_ input: inout InputReader) {
        let kind = input.byte()
        let (choice, second, third) = (input.byte(), input.byte(), input.byte())
        let number: UInt32 = input.integer()
        let ids = streams.keys.sorted()
        let id = ids.isEmpty ? UInt32(choice) : ids[Int(choice) % ids.count]
        switch kind % 12 {
        case 0...4:
            guard multiplexer.mayReceive else { return }
            perform(multiplexer.receive(Self.packet(kind, choice, second, third, number)))
        case 5:
            guard !dials.isEmpty else { return }
            let dialled = dials.removeFirst()
            if multiplexer.dialled(dialled) { streams[dialled] = (0, false) }
        case 6: if !dials.isEmpty { multiplexer.abandon(dials.removeFirst()) }
        case 7: if let new = multiplexer.connect(to: UInt32(choice & 7)) { streams[new] = (0, false) }
        case 8: take(id, Int(number & 0xFFFFF))
        case 9: multiplexer.hostIsReadable(id)
        case 10:
            guard streams[id]?.isClosing == false else { return }
            let flags = VsockPacket.Shutdown(rawValue: number & 3)
            if flags.contains(.receive) { streams[id]?.unsent = 0 }
            _ = multiplexer.hostShutDown(id, flags)
        default:
            if number & 7 == 0, multiplexer.expire(id) {
                streams[id] = nil
                dials.removeAll { $0 == id }
            } else {
                give(Int(number & 0xFFFF))
            }
        }
        check()
    }

    private static func packet(
        _ kind: UInt8,
        _ ports: UInt8,
        _ operation: UInt8,
        _ choice: UInt8,
        _ number: UInt32,
    ) -> VsockPacket {
        VsockPacket(
            sourceCID: kind & 0x40 == 0 ? 3 : UInt64(kind),
            destinationCID: kind & 0x80 == 0 ? 2 : UInt64(kind),
            sourcePort: UInt32(ports & 7),
            destinationPort: (ports & 8 == 0 ? 0 : 1 << 30) + UInt32(ports >> 5),
            length: kind & 0x20 == 0 ? number & 0x3FFFF : number,
            type: operation & 0x80 == 0 ? 1 : 2,
            rawOperation: UInt16(operation & 0xF),
            flags: UInt32(choice & 3),
            window: choice & 4 == 0 ? 1 << 16 : number,
            taken: choice & 8 == 0 ? 0 : number,
        )
    }
}
