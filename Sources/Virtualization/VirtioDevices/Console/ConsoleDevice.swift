internal import ByteCodec
internal import LinuxSystem
internal import MachineMemory
package import Virtio

/// A console device whose ports are streams of the host (virtio 1.2, section 5.3). Confined to its loop.
package final class ConsoleDevice: VirtioDevice {
    package enum Violation: Error, Hashable, Sendable {
        case controlMessage(count: Int)
        /// A request of a receive queue without a byte to write to.
        case noRoom
    }

    /// Section 5.3.6.2.
    private enum Event {
        static let deviceReady: UInt16 = 0
        static let portAdd: UInt16 = 1
        static let portReady: UInt16 = 3
        static let portOpen: UInt16 = 6
        static let portName: UInt16 = 7
    }

    private static let multiport = VirtioFeatures(rawValue: 1 << 1)
    private static let controlMessageSize = 8
    /// Between the device and a driver that gives it no buffers.
    static let maxPendingMessages = 64

    package static func description(portCount: Int) -> VirtioDeviceDescription {
        var configuration: [UInt8] = [0, 0, 0, 0]  // Columns and rows, not offered.
        configuration.append(littleEndian: UInt32(portCount))
        configuration.append(littleEndian: UInt32(0))
        return VirtioDeviceDescription(
            kind: .console,
            features: multiport,
            // A pair for the first port, one for control, and one for each port after it.
            queueSizes: Array(repeating: 256, count: 2 + 2 * portCount),
            configuration: configuration,
        )
    }

    private let context: VirtioDeviceContext
    private let ports: [ConsolePort]
    private var control: (receive: VirtQueue, transmit: VirtQueue)?
    private var messages: [[UInt8]] = []

    /// One port for each name, which the guest finds it by.
    package init(_ context: VirtioDeviceContext, ports: [(name: String, stream: Int32)]) throws {
        self.context = context
        self.ports = try ports.map {
            ConsolePort(
                $0.name,
                try WatchedDescriptor(nonBlocking: OwnedFD(adopting: $0.stream), on: context.loop),
                context
            )
        }
        for (id, port) in self.ports.enumerated() {
            port.hostClosed = { [unowned self] in try send(id, Event.portOpen, 0) }
        }
    }

    package func activate(_ queues: [VirtQueue?], features: VirtioFeatures) throws {
        guard features.contains(Self.multiport), let receive = queues[2], let transmit = queues[3] else { return }
        control = (receive, transmit)
        for (id, port) in ports.enumerated() {
            let first = id == 0 ? 0 : 2 + 2 * id
            port.activate(receive: queues[first], transmit: queues[first + 1])
        }
    }

    package func notified(queue: Int) throws {
        switch queue {
        case 2: try flush()
        case 3: try receiveControl()
        default:
            let id = queue < 2 ? 0 : queue / 2 - 1
            if queue % 2 == 0 { try ports[id].guestHasRoom() } else { try ports[id].guestHasSent() }
        }
    }

    package func reset() {
        control = nil
        messages = []
        for port in ports { port.reset() }
    }

    // MARK: Saved state

    package func save() -> State {
        State(messages: messages, ports: ports.map { $0.save() })
    }

    package func restore(_ state: State) throws {
        guard state.ports.count == ports.count else {
            throw RestoreViolation.portCount(state.ports.count, device: ports.count)
        }
        messages = state.messages
        for (id, (port, saved)) in zip(ports, state.ports).enumerated() {
            try port.restore(saved)
            // The guest was told that the old stream had ended.
            if !saved.isHostOpen { try send(id, Event.portOpen, 1) }
        }
    }

    // MARK: Control

    private func receiveControl() throws {
        guard let queue = control?.transmit else { return }
        try context.drain(queue) { chain in
            try answer(chain.read(upTo: Self.controlMessageSize))
            return 0
        }
    }

    private func answer(_ bytes: [UInt8]) throws {
        guard bytes.count == Self.controlMessageSize else { throw Violation.controlMessage(count: bytes.count) }
        var reader = ByteReader(bytes)
        let (id, event) = (try reader.littleEndian(UInt32.self), try reader.littleEndian(UInt16.self))
        let value = try reader.littleEndian(UInt16.self)
        switch event {
        case Event.deviceReady where value == 1:
            for id in ports.indices { try send(id, Event.portAdd, 0) }
        case Event.portReady where value == 1:
            guard let id = Int(exactly: id), ports.indices.contains(id) else { return }
            try send(id, Event.portName, 1, Array(ports[id].name.utf8))
            try send(id, Event.portOpen, 1)
        case Event.portOpen:
            guard let id = Int(exactly: id), ports.indices.contains(id) else { return }
            try ports[id].setOpen(value != 0)
        default: break  // Of a console with a screen, which no port is.
        }
    }

    private func send(_ id: Int, _ event: UInt16, _ value: UInt16, _ rest: [UInt8] = []) throws {
        guard messages.count < Self.maxPendingMessages else { return }
        var message: [UInt8] = []
        message.append(littleEndian: UInt32(id))
        message.append(littleEndian: event)
        message.append(littleEndian: value)
        messages.append(message + rest)
        try flush()
    }

    private func flush() throws {
        guard let queue = control?.receive, !messages.isEmpty else { return }
        try context.drain(queue) { chain in
            messages.isEmpty ? nil : chain.write(messages.removeFirst())
        }
    }
}
