import FuzzDriver

@testable import VirtioDevices

func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
}

/// The host's part: what is delivered is kept, and taken a piece at a time.
struct Host {
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
}

/// Steps of a byte and its arguments: a packet of the guest on one of few ports, or something that the host does.
fuzz { bytes in
    var host = Host()
    var rest = bytes[...]
    var greeting = VsockGreeting()
    _ = greeting.receive(bytes)
    _ = try? VsockPacket(parsing: bytes)
    while rest.count >= 8 {
        let step = rest.prefix(8)
        rest = rest.dropFirst(8)
        let (kind, first) = (step[step.startIndex], step.startIndex)
        let number = littleEndian(step[(first + 4)...])
        let ids = host.streams.keys.sorted()
        let id = ids.isEmpty ? UInt32(step[first + 1]) : ids[Int(step[first + 1]) % ids.count]
        switch kind % 12 {
        case 0...4:
            guard host.multiplexer.mayReceive else { continue }
            let packet = VsockPacket(
                sourceCID: kind & 0x40 == 0 ? 3 : UInt64(kind),
                destinationCID: kind & 0x80 == 0 ? 2 : UInt64(kind),
                sourcePort: UInt32(step[first + 1] & 7),
                destinationPort: step[first + 1] & 8 == 0
                    ? UInt32(step[first + 1] >> 5) : 1 << 30 + UInt32(step[first + 1] >> 5),
                length: kind & 0x20 == 0 ? number & 0x3FFFF : number,
                type: step[first + 2] & 0x80 == 0 ? 1 : 2,
                rawOperation: UInt16(step[first + 2] & 0xF),
                flags: UInt32(step[first + 3] & 3),
                window: step[first + 3] & 4 == 0 ? 1 << 16 : number,
                taken: step[first + 3] & 8 == 0 ? 0 : number,
            )
            host.perform(host.multiplexer.receive(packet))
        case 5:
            if !host.dials.isEmpty {
                let id = host.dials.removeFirst()
                if host.multiplexer.dialled(id) { host.streams[id] = (0, false) }
            }
        case 6:
            if !host.dials.isEmpty { host.multiplexer.abandon(host.dials.removeFirst()) }
        case 7:
            if let id = host.multiplexer.connect(to: UInt32(step[first + 1] & 7)) { host.streams[id] = (0, false) }
        case 8: host.take(id, Int(number & 0xFFFFF))
        case 9: host.multiplexer.hostIsReadable(id)
        case 10:
            if host.streams[id]?.isClosing == false {
                let flags = VsockPacket.Shutdown(rawValue: number & 3)
                if flags.contains(.receive) { host.streams[id]?.unsent = 0 }
                _ = host.multiplexer.hostShutDown(id, flags)
            }
        default:
            if number & 7 == 0, host.multiplexer.expire(id) {
                host.streams[id] = nil
                host.dials.removeAll { $0 == id }
            } else {
                host.give(Int(number & 0xFFFF))
            }
        }
        host.check()
    }
    var restored = VsockMultiplexer(guestCID: 3)
    restored.restore(host.multiplexer.state)
    while let turn = restored.next() {
        guard case .packet(let packet) = turn, packet.operation == .reset else {
            fatalError("after a restore there are resets")
        }
    }
}
