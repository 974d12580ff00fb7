package import MachineMemory

/// A split virtqueue, seen from the device (virtio 1.2, section 2.7).
///
/// Confined to the thread of its device. All that the driver controls is read once and checked before it is used; what
/// breaks the rules is a `Violation`, after which the device asks to be reset.
package final class VirtQueue {
    /// Where the driver put a queue, and how far it was served: all there is to save and restore.
    package struct State: Hashable, Sendable {
        package var size: UInt16 = 0
        package var isReady = false
        package var descriptors: UInt64 = 0
        /// The driver's area: the available ring.
        package var driver: UInt64 = 0
        /// The device's area: the used ring.
        package var device: UInt64 = 0
        package var nextAvailable: UInt16 = 0
        package var nextUsed: UInt16 = 0

        package init() {}
    }

    package enum Violation: Error, Hashable, Sendable {
        case size(UInt16)
        case area(Area, MemoryViolation)
        case misaligned(Area, UInt64)
        /// The driver made more available than the queue holds.
        case availableIndexJump(from: UInt16, to: UInt16)
        case headOutOfRange(UInt16)
        case nextOutOfRange(UInt16)
        /// Longer than the queue, which a loop is too.
        case chainTooLong
        case indirectNotNegotiated
        case indirectInsideIndirect
        case indirectWithNext
        case indirectTable(count: UInt32)
        case emptyBuffer
        case readableAfterWritable
        case buffer(MemoryViolation)
        /// All buffers of a chain together.
        case chainTooLarge

        package enum Area: Hashable, Sendable {
            case descriptors, driver, device
        }
    }

    private enum Flag {
        static let next: UInt16 = 1
        static let write: UInt16 = 2
        static let indirect: UInt16 = 4
        static let noInterrupt: UInt16 = 1
    }

    private static let descriptorSize = 16
    /// Of one chain. Larger than any request of a driver that means well.
    private static let maxChainBytes = 1 << 30

    private let memory: GuestMemory
    private let size: UInt16
    private let hasEventIndex: Bool
    private let hasIndirect: Bool
    private let descriptors: GuestRange
    private let available: GuestRange
    private let used: GuestRange
    private var nextAvailable: UInt16
    private var nextUsed: UInt16
    /// Value of `nextUsed` when the driver was last asked whether it wants an interrupt.
    private var signalledUsed: UInt16
    private let placement: State

    package init(_ state: State, features: VirtioFeatures, memory: GuestMemory) throws(Violation) {
        guard state.size > 0, state.size & (state.size - 1) == 0, state.size <= 32768 else { throw .size(state.size) }
        let count = UInt64(state.size)
        self.memory = memory
        size = state.size
        placement = state
        hasEventIndex = features.contains(.eventIndex)
        hasIndirect = features.contains(.indirectDescriptors)
        descriptors = try Self.area(.descriptors, state.descriptors, 16 * count, alignment: 16, memory)
        available = try Self.area(.driver, state.driver, 6 + 2 * count, alignment: 2, memory)
        used = try Self.area(.device, state.device, 6 + 8 * count, alignment: 4, memory)
        nextAvailable = state.nextAvailable
        nextUsed = state.nextUsed
        signalledUsed = state.nextUsed
    }

    private static func area(
        _ area: Violation.Area,
        _ address: UInt64,
        _ count: UInt64,
        alignment: UInt64,
        _ memory: GuestMemory,
    ) throws(Violation) -> GuestRange {
        guard address % alignment == 0 else { throw .misaligned(area, address) }
        do throws(MemoryViolation) {
            return try memory.range(at: GuestAddress(address), count: count)
        } catch {
            throw .area(area, error)
        }
    }

    package var state: State {
        var state = placement
        state.nextAvailable = nextAvailable
        state.nextUsed = nextUsed
        return state
    }

    // MARK: Available

    /// The next request; nil if there is none now.
    package func next() throws(Violation) -> DescriptorChain? {
        let index = available.loadAcquire16(at: 2)
        let waiting = index &- nextAvailable
        if waiting == 0 { return nil }
        guard waiting <= size else { throw .availableIndexJump(from: nextAvailable, to: index) }
        let head = available.load(UInt16.self, at: 4 + 2 * Int(nextAvailable % size))
        guard head < size else { throw .headOutOfRange(head) }
        let chain = try chain(from: head)
        nextAvailable &+= 1
        return chain
    }

    /// Puts the request that `next()` gave last back: it comes again.
    package func putBack() {
        nextAvailable &-= 1
    }

    private struct Descriptor {
        let address: UInt64
        let count: UInt32
        let flags: UInt16
        let next: UInt16

        init(_ table: GuestRange, _ index: Int) {
            let offset = index * VirtQueue.descriptorSize
            address = table.load(at: offset)
            count = table.load(at: offset + 8)
            flags = table.load(at: offset + 12)
            next = table.load(at: offset + 14)
        }

        func has(_ flag: UInt16) -> Bool { flags & flag != 0 }
    }

    private func chain(from head: UInt16) throws(Violation) -> DescriptorChain {
        var walk = Walk(limit: Int(size), memory: memory)
        var index = head
        while true {
            let descriptor = Descriptor(descriptors, Int(index))
            if descriptor.has(Flag.indirect) {
                guard !descriptor.has(Flag.next) else { throw .indirectWithNext }
                try addIndirect(descriptor, to: &walk)
                break
            }
            try walk.add(descriptor)
            guard descriptor.has(Flag.next) else { break }
            index = descriptor.next
            guard index < size else { throw .nextOutOfRange(index) }
        }
        return DescriptorChain(head: head, readable: walk.readable, writable: walk.writable)
    }

    private func addIndirect(_ descriptor: Descriptor, to walk: inout Walk) throws(Violation) {
        guard hasIndirect else { throw .indirectNotNegotiated }
        let count = Int(descriptor.count) / Self.descriptorSize
        guard descriptor.count > 0, Int(descriptor.count) % Self.descriptorSize == 0, count <= 65535 else {
            throw .indirectTable(count: descriptor.count)
        }
        let table: GuestRange
        do throws(MemoryViolation) {
            table = try memory.range(at: GuestAddress(descriptor.address), count: UInt64(descriptor.count))
        } catch {
            throw .buffer(error)
        }
        var index = 0
        while true {
            let entry = Descriptor(table, index)
            guard !entry.has(Flag.indirect) else { throw .indirectInsideIndirect }
            try walk.add(entry)
            guard entry.has(Flag.next) else { return }
            index = Int(entry.next)
            guard index < count else { throw .nextOutOfRange(entry.next) }
        }
    }

    /// What was found so far of a chain.
    private struct Walk {
        var limit: Int
        let memory: GuestMemory
        var readable: [GuestRange] = []
        var writable: [GuestRange] = []
        private var total = 0

        init(limit: Int, memory: GuestMemory) {
            self.limit = limit
            self.memory = memory
        }

        mutating func add(_ descriptor: Descriptor) throws(Violation) {
            guard limit > 0 else { throw .chainTooLong }
            limit -= 1
            guard descriptor.count > 0 else { throw .emptyBuffer }
            total += Int(descriptor.count)
            guard total <= VirtQueue.maxChainBytes else { throw .chainTooLarge }
            let range: GuestRange
            do throws(MemoryViolation) {
                range = try memory.range(at: GuestAddress(descriptor.address), count: UInt64(descriptor.count))
            } catch {
                throw .buffer(error)
            }
            if descriptor.has(Flag.write) {
                writable.append(range)
            } else {
                guard writable.isEmpty else { throw .readableAfterWritable }
                readable.append(range)
            }
        }
    }

    // MARK: Used

    /// Gives a request back, with the number of bytes written into it.
    package func finish(_ chain: DescriptorChain, written: Int) {
        finish(head: chain.head, written: written)
    }

    package func finish(head: UInt16, written: Int) {
        finish([(head, written)])
    }

    /// Gives several back that belong together: the driver sees all of them or none.
    package func finish(_ requests: [(head: UInt16, written: Int)]) {
        for (head, written) in requests {
            let offset = 4 + 8 * Int(nextUsed % size)
            used.store(UInt32(head), at: offset)
            used.store(UInt32(clamping: written), at: offset + 4)
            nextUsed &+= 1
        }
        used.storeRelease16(nextUsed, at: 2)
    }

    /// Whether the driver wants to hear of what was finished since the last call (section 2.7.10).
    package func takesInterrupt() -> Bool {
        // What was finished must be seen before it is asked for.
        memoryFence()
        let before = signalledUsed
        signalledUsed = nextUsed
        guard before != nextUsed else { return false }
        guard hasEventIndex else { return available.load(UInt16.self, at: 0) & Flag.noInterrupt == 0 }
        let event = available.load(UInt16.self, at: 4 + 2 * Int(size))
        return nextUsed &- event &- 1 < nextUsed &- before
    }

    /// Asks to be told of the next request. True if one came meanwhile: then it is to be served first.
    package func awaitRequest() -> Bool {
        awaitRequest(beyond: 0)
    }

    /// The same, of one that comes after so many that are known to be there and were put back.
    package func awaitRequest(beyond count: Int) -> Bool {
        let known = nextAvailable &+ UInt16(truncatingIfNeeded: count)
        if hasEventIndex { used.store(known, at: 4 + 8 * Int(size)) }
        memoryFence()
        return available.loadAcquire16(at: 2) != known
    }
}
