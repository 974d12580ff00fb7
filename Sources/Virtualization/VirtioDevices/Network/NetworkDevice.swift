internal import ByteCodec
internal import LinuxSystem
internal import MachineMemory
package import Primitives
package import Virtio

/// A network interface (virtio 1.2, section 5.1) whose cable is a stream of the host, in QEMU's framing. Confined to its loop.
///
/// The peer gets plain Ethernet frames, as QEMU's `-netdev stream` gives it: there is no virtio header between them. So what the
/// guest leaves to the device, checksums and the cutting of TCP segments, the device does itself; and it offers the guest nothing
/// that would need the peer's help, because a frame of `NetworkFrame.maxTransmissionUnit` bytes does what joined segments are for.
///
/// Neither side runs ahead of the other: what the peer does not take stays in the guest's queue, beyond `maxOutput` bytes; what
/// the guest has no room for stays in the stream, beyond one read.
package final class NetworkDevice: VirtioDevice {
    package enum Violation: Error, Hashable, Sendable {
        /// Longer than any request; of the others `TransmitFrame.Violation` tells.
        case request(count: Int)
        /// Without room for the header of a frame.
        case receiveBuffer(count: Int)
    }

    private enum Feature {
        static let mtu = VirtioFeatures(rawValue: 1 << 3)
        static let mac = VirtioFeatures(rawValue: 1 << 5)
        static let mergeableBuffers = VirtioFeatures(rawValue: 1 << 15)
        static let status = VirtioFeatures(rawValue: 1 << 16)
    }

    private enum Queue {
        static let receive = 0
        static let transmit = 1
    }

    private static let queueSize: UInt16 = 256
    private static let statusOffset = MACAddress.byteCount
    private static let linkUp: UInt16 = 1
    /// Of frames that the peer has not taken; a request may go beyond it once.
    private static let maxOutput = 256 << 10
    private static let maxRead = 128 << 10
    /// Then the loop looks after other descriptors too.
    private static let maxReadsPerEvent = 16

    package static func description(mac: MACAddress) -> VirtioDeviceDescription {
        var configuration = mac.bytes
        configuration.append(littleEndian: linkUp)
        configuration.append(littleEndian: UInt16(1))  // A pair of queues.
        configuration.append(littleEndian: NetworkFrame.maxTransmissionUnit)
        return VirtioDeviceDescription(
            kind: .network,
            features: [
                TransmitFrame.Feature.checksum, TransmitFrame.Feature.tcp4, TransmitFrame.Feature.tcp6, Feature.mtu,
                Feature.mac, Feature.mergeableBuffers, Feature.status,
            ],
            queueSizes: [queueSize, queueSize],
            configuration: configuration,
        )
    }

    private let context: VirtioDeviceContext
    private let stream: WatchedDescriptor
    private var isLinkUp = true
    private var input = FrameDecoder()
    /// A frame that the peer has a part of must follow whole, whatever becomes of the driver.
    private var output = ByteQueue()
    private var receive: VirtQueue?
    private var transmit: VirtQueue?
    private var features: VirtioFeatures = []
    /// The guest has frames that wait for the peer to take others.
    private var isTransmitBlocked = false

    /// Takes over the descriptor of a connected stream socket.
    package init(_ context: VirtioDeviceContext, stream: Int32) throws {
        self.context = context
        self.stream = try WatchedDescriptor(nonBlocking: OwnedFD(adopting: stream), on: context.loop)
        self.stream.ready = { [unowned self] in streamIsReady($0) }
    }

    package func activate(_ queues: [VirtQueue?], features: VirtioFeatures) {
        receive = queues[Queue.receive]
        transmit = queues[Queue.transmit]
        self.features = features
    }

    package func notified(queue: Int) throws {
        if queue == Queue.receive { try receiveFrames() } else { try transmitFrames() }
    }

    package func reset() {
        receive = nil
        transmit = nil
        isTransmitBlocked = false
        // Only the loop's own descriptors can fail, and then nothing is watched.
        try? stream.want(output.isEmpty ? [] : .writable)
    }

    // MARK: Saved state

    package func save() -> State {
        State(isLinkUp: isLinkUp)
    }

    package func restore(_ state: State) {
        if state.isLinkUp != isLinkUp { context.interrupt.raise(.configurationChange) }
    }

    // MARK: The peer

    private func streamIsReady(_ readiness: EventLoop.Readiness) {
        context.attempt {
            if readiness.contains(.writable) { try transmitFrames() }
            if readiness.isDisjoint(with: [.readable, .hangUp, .error]) { return }
            try receiveFrames()
            // Where nobody listens, writing tells whether the peer is there still.
            if receive == nil { try flush() }
        }
    }

    private func peerIsGone() {
        guard isLinkUp else { return }
        isLinkUp = false
        isTransmitBlocked = false
        output = ByteQueue()
        stream.unwatch()
        context.configuration.store(UInt16(0), at: Self.statusOffset)
        if receive != nil || transmit != nil { context.interrupt.raise(.configurationChange) }
    }

    // MARK: From the guest

    private func transmitFrames() throws {
        if let transmit {
            isTransmitBlocked = false
            try context.drain(transmit) { chain in
                // A cable that leads nowhere.
                guard isLinkUp else { return 0 }
                if output.count >= Self.maxOutput { try flush() }
                guard output.count < Self.maxOutput else {
                    isTransmitBlocked = true
                    return nil
                }
                let count = chain.readableCount
                guard count <= TransmitFrame.maxRequest else { throw Violation.request(count: count) }
                let frame = try TransmitFrame(chain.read(upTo: count), features: features)
                frame.forEachFrame { output.appendFrame($0) }
                return 0
            }
        }
        try flush()
    }

    private func flush() throws(SyscallError) {
        while isLinkUp, !output.isEmpty {
            do throws(SyscallError) {
                guard case .wrote(let count) = try stream.fd.write(output.contents) else { break }
                output.removeFirst(count)
            } catch {
                return peerIsGone()
            }
        }
        guard isLinkUp else { return }
        if output.isEmpty && !isTransmitBlocked { try stream.drop(.writable) } else { try stream.add(.writable) }
    }

    // MARK: To the guest

    private enum Delivery {
        case delivered
        case noFrame
        /// So many buffers are there, and are not enough.
        case noRoom(buffers: Int)
    }

    private func receiveFrames() throws {
        guard let receive else { return try stream.drop(.readable) }
        var reads = 0
        loop: while true {
            switch try deliverFirst(to: receive) {
            case .delivered: continue
            case .noRoom(let buffers):
                try stream.drop(.readable)
                if !receive.awaitRequest(beyond: buffers) { break loop }
            case .noFrame:
                guard isLinkUp else { break loop }
                reads += 1
                guard reads <= Self.maxReadsPerEvent, try readFromPeer() else {
                    if isLinkUp { try stream.add(.readable) }
                    break loop
                }
            }
        }
        if receive.takesInterrupt() { context.interrupt.raise(.usedBuffer) }
    }

    /// False if there is nothing now, or the peer is gone.
    private func readFromPeer() throws -> Bool {
        do throws(SyscallError) {
            switch try stream.fd.read(upTo: Self.maxRead) {
            case .bytes(let bytes):
                input.append(bytes)
                return true
            case .wouldBlock: return false
            case .endOfFile: break
            }
        } catch {
            // A reset connection is as gone as one that ended.
        }
        peerIsGone()
        return false
    }

    private func deliverFirst(to receive: VirtQueue) throws -> Delivery {
        let length: Int
        do throws(FrameDecoder.Violation) {
            guard let frame = try input.first else { return .noFrame }
            length = frame.count
        } catch {
            input = FrameDecoder()
            peerIsGone()
            throw PeerViolation(length: error.length)
        }
        switch try take(TransmitFrame.headerLength + length, from: receive) {
        case .notEnough(let count): return .noRoom(buffers: count)
        case .tooSmall: break  // The frame is lost.
        case .enough(let buffers):
            if let frame = try input.first { receive.finish(Self.write(frame, to: buffers)) }
        }
        input.removeFirst(length: length)
        return .delivered
    }

    private enum Room {
        case enough([DescriptorChain])
        case notEnough(count: Int)
        /// A driver that does not merge buffers gave one that is shorter than the frame.
        case tooSmall
    }

    /// Buffers with room for `count` bytes together, and no more than are needed.
    private func take(_ count: Int, from receive: VirtQueue) throws -> Room {
        var buffers: [DescriptorChain] = []
        var room = 0
        while room < count {
            guard let buffer = try receive.next() else {
                for _ in buffers { receive.putBack() }
                return .notEnough(count: buffers.count)
            }
            let writable = buffer.writableCount
            guard writable >= TransmitFrame.headerLength else { throw Violation.receiveBuffer(count: writable) }
            if !features.contains(Feature.mergeableBuffers), writable < count {
                receive.putBack()
                return .tooSmall
            }
            buffers.append(buffer)
            room += writable
        }
        return .enough(buffers)
    }

    /// What each buffer holds then.
    private static func write(
        _ frame: ArraySlice<UInt8>,
        to buffers: [DescriptorChain],
    ) -> [(head: UInt16, written: Int)] {
        // No flags, no segmentation; and how many buffers belong together.
        var header = [UInt8](repeating: 0, count: TransmitFrame.headerLength - 2)
        header.append(littleEndian: UInt16(truncatingIfNeeded: buffers.count))
        let ranges = buffers.flatMap(\.writable)
        ranges.write(header[...])
        ranges.withoutFirstBytes(header.count).write(frame)
        var rest = header.count + frame.count
        return buffers.map { buffer in
            let written = min(rest, buffer.writableCount)
            rest -= written
            return (buffer.head, written)
        }
    }
}

extension NetworkDevice {
    /// What is on the cable is lost, as on any cable: the peer of the device that goes on is another, which has seen no part of
    /// a frame.
    package struct State: SavedState {
        package static let version: UInt16 = 1

        package var isLinkUp: Bool

        package init(isLinkUp: Bool) {
            self.isLinkUp = isLinkUp
        }

        package func write(to writer: inout SavedStateWriter) {
            writer.append(isLinkUp)
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            isLinkUp = try reader.boolean()
        }
    }

    /// The network on the host's side sent what is no frame. The link is down for good.
    package struct PeerViolation: Error, Hashable, Sendable, CustomStringConvertible {
        package let length: UInt32

        package var description: String { "its peer on the host announced a frame of \(length) bytes" }
    }
}
