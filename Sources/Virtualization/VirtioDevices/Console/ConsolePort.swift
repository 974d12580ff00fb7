internal import LinuxSystem
internal import MachineMemory
internal import Virtio

/// One port and the stream behind it. Bytes move between the socket and the guest's memory without a copy, and neither side
/// runs ahead of the other. Confined to its device's loop.
final class ConsolePort {
    /// For one system call; what a stream socket takes at once is less.
    private static let maxTransfer = 1 << 20

    let name: String
    var hostClosed: () throws -> Void = {}
    private let stream: WatchedDescriptor
    private let context: VirtioDeviceContext
    private var receive: VirtQueue?
    private var transmit: VirtQueue?
    private var isOpen = false
    private var isHostOpen = true
    /// Of the request at the front of `transmit`, what the host has taken.
    private var sentOfFirst = 0

    init(_ name: String, _ stream: WatchedDescriptor, _ context: VirtioDeviceContext) {
        self.name = name
        self.stream = stream
        self.context = context
        stream.ready = { [unowned self] in streamIsReady($0) }
    }

    func activate(receive: VirtQueue?, transmit: VirtQueue?) {
        self.receive = receive
        self.transmit = transmit
    }

    func reset() {
        receive = nil
        transmit = nil
        isOpen = false
        sentOfFirst = 0
        stream.unwatch()
    }

    // MARK: Saved state

    func save() -> ConsoleDevice.State.Port {
        ConsoleDevice.State.Port(isOpen: isOpen, isHostOpen: isHostOpen, sentOfFirst: UInt32(sentOfFirst))
    }

    /// The stream is a new one, whatever became of the old.
    func restore(_ state: ConsoleDevice.State.Port) throws {
        sentOfFirst = Int(state.sentOfFirst)
        if state.isOpen { try setOpen(true) }
    }

    // MARK: Traffic

    /// The guest's program opened or closed the port.
    func setOpen(_ open: Bool) throws {
        isOpen = open
        if open { try guestHasRoom() } else { try stream.drop(.readable) }
    }

    func guestHasRoom() throws {
        if isOpen, isHostOpen, receive != nil { try stream.add(.readable) }
    }

    func guestHasSent() throws {
        guard let transmit else { return }
        try context.drain(transmit) { chain in
            guard isHostOpen else { return 0 }  // Nobody is left to hear it.
            return try send(chain) ? 0 : nil
        }
    }

    /// False if the host takes no more now; the rest follows when it does.
    private func send(_ chain: DescriptorChain) throws -> Bool {
        var rest = chain.readable.withoutFirstBytes(sentOfFirst)
        while !rest.isEmpty {
            do throws(SyscallError) {
                let count = try stream.fd.write(from: rest)
                sentOfFirst += count
                rest = rest.withoutFirstBytes(count)
            } catch {
                if error.errno == .again {
                    try stream.add(.writable)
                    return false
                }
                try hostIsGone()
                break
            }
        }
        sentOfFirst = 0
        return true
    }

    private func streamIsReady(_ readiness: EventLoop.Readiness) {
        context.attempt {
            if readiness.contains(.writable) {
                try stream.drop(.writable)
                try guestHasSent()
            }
            if !readiness.isDisjoint(with: [.readable, .hangUp, .error]) { try receiveFromHost() }
        }
    }

    private func receiveFromHost() throws {
        guard let receive, isOpen, isHostOpen else { return stream.unwatch() }
        var isDry = false
        var isFull = true
        try context.drain(receive) { chain in
            isFull = false
            // A read of nothing would look like the end of the stream.
            if chain.writable.isEmpty { throw ConsoleDevice.Violation.noRoom }
            do throws(SyscallError) {
                let count = try stream.fd.read(into: chain.writable.firstBytes(Self.maxTransfer))
                if count > 0 { return count }
                isHostOpen = false
            } catch {
                if error.errno != .again { isHostOpen = false }
            }
            isDry = true
            return nil
        }
        if !isHostOpen {
            try hostIsGone()
        } else if isFull || !isDry {
            // No buffers left: a kick tells of new ones.
            try stream.drop(.readable)
        }
    }

    private func hostIsGone() throws {
        isHostOpen = false
        stream.unwatch()
        try hostClosed()
    }
}
