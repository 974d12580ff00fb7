internal import ByteCodec
package import LinuxSystem
internal import MachineMemory
package import Virtio

/// Stream sockets between the guest and programs of the host (virtio 1.2, section 5.10), in Firecracker's convention: who
/// connects to the listening Unix socket of the machine says `CONNECT <port>\n`, is answered `OK <hostport>\n`, and talks to
/// what listens on that port in the guest. What the guest connects to, port P of the host, is another Unix socket of the host,
/// which a dialler opens: this process may not.
///
/// Confined to its loop.
package final class VsockDevice: VirtioDevice {
    package enum Violation: Error, Hashable, Sendable {
        case headerTooShort(count: Int)
        case dataTooShort(count: Int, wanted: Int)
        /// Without room for a header and a byte.
        case receiveBufferTooSmall(count: Int)
    }

    private enum Queue {
        static let receive = 0
        static let transmit = 1
    }

    /// Who does not answer a request, or does not close what the host has closed, gets so long.
    static let patience = Duration.seconds(10)

    /// The guest's own number is above those of the host and of all that are reserved.
    package static func description(guestCID: UInt32) -> VirtioDeviceDescription {
        var configuration: [UInt8] = []
        configuration.append(littleEndian: UInt64(guestCID))
        // The third is for events, of which there are none: it takes buffers and keeps them.
        return VirtioDeviceDescription(kind: .socket, queueSizes: [256, 256, 64], configuration: configuration)
    }

    private let context: VirtioDeviceContext
    private let doors: VsockDoors
    private var multiplexer: VsockMultiplexer
    private var streams: [VsockMultiplexer.ID: VsockStream] = [:]
    private var queues: (receive: VirtQueue, transmit: VirtQueue)?
    /// The guest's packets wait for room for our answers.
    private var isTransmitBlocked = false

    /// `listener` is a listening Unix socket, `dialler` a socket of `SOCK_SEQPACKET` on whose other end somebody answers
    /// each `DialRequest`.
    package init(
        _ context: VirtioDeviceContext,
        guestCID: UInt32,
        listener: consuming OwnedFD,
        dialler: consuming OwnedFD,
    ) throws {
        self.context = context
        multiplexer = VsockMultiplexer(guestCID: UInt64(guestCID))
        doors = try VsockDoors(listener: listener, dialler: dialler, on: context.loop)
        doors.greeted = { [unowned self] in hostConnects($0, to: $1, early: $2) }
        doors.dialled = { [unowned self] in dialEnded($0, stream: $1) }
    }

    // MARK: The driver

    package func activate(_ queues: [VirtQueue?], features: VirtioFeatures) throws {
        guard let receive = queues[Queue.receive], let transmit = queues[Queue.transmit] else { return }
        self.queues = (receive, transmit)
        try doors.open()
    }

    package func notified(queue: Int) throws {
        try pump()
    }

    package func reset() {
        queues = nil
        isTransmitBlocked = false
        doors.close()
        for stream in streams.values { stream.close() }
        streams = [:]
        multiplexer.removeAll()
    }

    package func save() -> State { multiplexer.state }

    /// The streams of the host are not those of before: the guest is told that its connections are gone.
    package func restore(_ state: State) { multiplexer.restore(state) }

    /// Takes what the guest sent, and gives it what there is for it.
    private func pump() throws {
        repeat {
            try takePackets()
            try givePackets()
        } while isTransmitBlocked && multiplexer.mayReceive
    }

    private func takePackets() throws {
        guard let queue = queues?.transmit else { return }
        isTransmitBlocked = false
        try context.drain(queue) { chain in
            guard multiplexer.mayReceive else {
                isTransmitBlocked = true
                return nil
            }
            let packet: VsockPacket
            do throws(VsockPacket.Violation) {
                packet = try VsockPacket(parsing: chain.read(upTo: VsockPacket.headerLength))
            } catch {
                throw Violation.headerTooShort(count: chain.readableCount)
            }
            let room = chain.readableCount - VsockPacket.headerLength
            guard packet.length <= room else {
                throw Violation.dataTooShort(count: room, wanted: Int(packet.length))
            }
            let command = multiplexer.receive(packet)
            try perform(command, data: chain.readable.withoutFirstBytes(VsockPacket.headerLength))
            return 0
        }
    }

    private func givePackets() throws {
        guard let queue = queues?.receive, multiplexer.hasTurns else { return }
        try context.drain(queue) { chain in
            let room = chain.writableCount - VsockPacket.headerLength
            guard room > 0 else { throw Violation.receiveBufferTooSmall(count: chain.writableCount) }
            while let turn = multiplexer.next() {
                switch turn {
                case .packet(let packet): return chain.write(packet.encoded)
                case .data(let id, let limit):
                    let place = chain.writable.withoutFirstBytes(VsockPacket.headerLength).firstBytes(limit)
                    guard let header = try read(id, into: place) else { continue }
                    return chain.write(header.encoded) + Int(header.length)
                }
            }
            return nil
        }
    }

    /// Nil where there is nothing to send.
    private func read(_ id: VsockMultiplexer.ID, into place: [GuestRange]) throws -> VsockPacket? {
        guard let stream = streams[id] else { return nil }
        switch stream.read(into: place) {
        case .bytes(let count): return multiplexer.dataSent(id, count)
        case .dry:
            multiplexer.hostIsDry(id)
            try stream.awaitData()
        case .end: hostShutDown(id, stream.isHungUp ? .both : .send)
        }
        return nil
    }

    // MARK: Commands

    private func perform(_ command: VsockMultiplexer.Command, data: [GuestRange] = []) throws {
        switch command {
        case .none: break
        case .dial(let id, let port):
            if doors.dial(id, port: port) { expire(id) } else { multiplexer.abandon(id) }
        case .connected(let id): try answer(id)
        case .deliver(let id, let count):
            try attempt(id) { stream throws(SyscallError) in
                multiplexer.forwarded(id, try stream.send(data.firstBytes(count)))
            }
        case .shutDown(let id, let flags):
            try attempt(id) { stream throws(SyscallError) in
                if flags.contains(.receive) { try stream.endReading() }
                if flags.contains(.send) { try stream.endWriting() }
            }
        case .close(let id, let afterFlush):
            if afterFlush, let stream = streams[id], !stream.isFlushed {
                try stream.closeWhenFlushed()
            } else {
                close(id)
            }
        }
    }

    private func answer(_ id: VsockMultiplexer.ID) throws {
        guard let stream = streams[id], let port = multiplexer.hostPort(of: id) else { return }
        do throws(SyscallError) {
            try stream.greet(VsockGreeting.answer(hostPort: port))
            multiplexer.hostIsReadable(id)
        } catch {
            multiplexer.abandon(id)
            close(id)
        }
    }

    /// Something that fails if the host takes nothing more. It may still have sent something, and its end.
    private func attempt(_ id: VsockMultiplexer.ID, _ body: (VsockStream) throws(SyscallError) -> Void) throws {
        guard let stream = streams[id] else { return }
        do throws(SyscallError) {
            try body(stream)
        } catch {
            try stream.discardUnsent()
            if stream.isClosing { return close(id) }
            hostShutDown(id, .receive)
            multiplexer.hostIsReadable(id)
        }
    }

    private func close(_ id: VsockMultiplexer.ID) {
        multiplexer.abandon(id)
        streams.removeValue(forKey: id)?.close()
    }

    // MARK: The host

    private func streamIsReady(_ id: VsockMultiplexer.ID, _ readiness: EventLoop.Readiness) throws {
        guard let stream = streams[id] else { return }
        try stream.took(readiness)
        try attempt(id) { stream throws(SyscallError) in
            multiplexer.forwarded(id, try stream.flush())
        }
        if stream.isClosing {
            if stream.isFlushed { close(id) }
        } else if !readiness.isDisjoint(with: [.readable, .hangUp, .error]) {
            multiplexer.hostIsReadable(id)
        }
        try pump()
    }

    private func hostConnects(_ host: WatchedDescriptor, to port: UInt32, early: [UInt8]) {
        guard let id = multiplexer.connect(to: port) else { return }
        add(host, id, early: early)
        expire(id)
        context.attempt { try pump() }
    }

    private func dialEnded(_ id: VsockMultiplexer.ID, stream: WatchedDescriptor?) {
        if let stream {
            guard multiplexer.dialled(id) else { return }
            add(stream, id)
            multiplexer.hostIsReadable(id)
        } else {
            multiplexer.abandon(id)
        }
        context.attempt { try pump() }
    }

    private func add(_ host: WatchedDescriptor, _ id: VsockMultiplexer.ID, early: [UInt8] = []) {
        streams[id] = VsockStream(host, early: early) { [unowned self] readiness in
            context.attempt { try streamIsReady(id, readiness) }
        }
    }

    private func hostShutDown(_ id: VsockMultiplexer.ID, _ flags: VsockPacket.Shutdown) {
        if multiplexer.hostShutDown(id, flags) { expire(id) }
    }

    /// Ends the connection after a while, if it still waits for the guest then.
    private func expire(_ id: VsockMultiplexer.ID) {
        _ = context.loop.schedule(after: Self.patience) { [weak self] in
            guard let self, multiplexer.expire(id) else { return }
            close(id)
            context.attempt { try pump() }
        }
    }
}
