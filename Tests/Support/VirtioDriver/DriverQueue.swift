package import MachineMemory
package import Virtio

/// The driver's side of a virtqueue, which tests use as a guest would, and wrongly as a hostile one would.
package final class DriverQueue {
    package struct Descriptor {
        package var address: UInt64
        package var count: UInt32
        package var flags: UInt16
        package var next: UInt16

        package static let next: UInt16 = 1
        package static let write: UInt16 = 2
        package static let indirect: UInt16 = 4

        package init(_ address: UInt64, _ count: UInt32, _ flags: UInt16 = 0, next: UInt16 = 0) {
            self.address = address
            self.count = count
            self.flags = flags
            self.next = next
        }
    }

    package let memory: GuestMemory
    package private(set) var state = VirtQueue.State()
    private var nextDescriptor: UInt16 = 0
    private var availableIndex: UInt16 = 0
    private var usedSeen: UInt16 = 0

    /// Rings of `size` from `base` on, which is page-aligned: descriptors, available, used, a page each at least.
    package init(_ memory: GuestMemory, size: UInt16, base: UInt64) {
        self.memory = memory
        state.size = size
        state.isReady = true
        state.descriptors = base
        state.driver = base + 0x10_000
        state.device = base + 0x20_000
    }

    package func device(_ features: VirtioFeatures = .transport) throws -> VirtQueue {
        try VirtQueue(state, features: features, memory: memory)
    }

    package func setDescriptor(_ index: UInt16, _ descriptor: Descriptor, table: UInt64? = nil) throws {
        let place = GuestAddress((table ?? state.descriptors) + UInt64(index) * 16)
        let range = try memory.range(at: place, count: 16)
        range.store(descriptor.address, at: 0)
        range.store(descriptor.count, at: 8)
        range.store(descriptor.flags, at: 12)
        range.store(descriptor.next, at: 14)
    }

    /// Makes the chain that starts at `head` available.
    package func offer(_ head: UInt16) throws {
        try memory.store(head, at: GuestAddress(state.driver + 4 + 2 * UInt64(availableIndex % state.size)))
        availableIndex &+= 1
        try setAvailableIndex(availableIndex)
    }

    package func setAvailableIndex(_ index: UInt16) throws {
        availableIndex = index
        try memory.range(at: GuestAddress(state.driver), count: 4).storeRelease16(index, at: 2)
    }

    /// Lays a chain of buffers into the descriptor table and makes it available; its head.
    @discardableResult
    package func offer(readable: [(UInt64, UInt32)] = [], writable: [(UInt64, UInt32)] = []) throws -> UInt16 {
        let buffers =
            readable.map { Descriptor($0.0, $0.1) } + writable.map { Descriptor($0.0, $0.1, Descriptor.write) }
        let head = nextDescriptor
        for (index, buffer) in buffers.enumerated() {
            var descriptor = buffer
            let place = (nextDescriptor &+ UInt16(index)) % state.size
            if index < buffers.count - 1 {
                descriptor.flags |= Descriptor.next
                descriptor.next = (place &+ 1) % state.size
            }
            try setDescriptor(place, descriptor)
        }
        nextDescriptor = (nextDescriptor &+ UInt16(buffers.count)) % state.size
        try offer(head)
        return head
    }

    /// The index of the request that the device asks to be kicked for, where it was offered the event index (section 2.7.10).
    package var kickEvent: UInt16 {
        get throws {
            let place = GuestAddress(state.device + 4 + 8 * UInt64(state.size))
            return try memory.range(at: place, count: 2).loadAcquire16(at: 0)
        }
    }

    /// Of the next request that is made available.
    package var nextIndex: UInt16 { availableIndex }

    /// What the device gave back since the last call: heads, and bytes written.
    package func takeUsed() throws -> [(head: UInt32, written: UInt32)] {
        let ring = try memory.range(at: GuestAddress(state.device), count: 6 + 8 * UInt64(state.size))
        let index = ring.loadAcquire16(at: 2)
        var result: [(head: UInt32, written: UInt32)] = []
        while usedSeen != index {
            let offset = 4 + 8 * Int(usedSeen % state.size)
            result.append((ring.load(UInt32.self, at: offset), ring.load(UInt32.self, at: offset + 4)))
            usedSeen &+= 1
        }
        return result
    }
}
