import MachineMemory

@testable import Virtio

extension FuzzTarget {
    /// A queue over memory that is the input: descriptors at 0, the available ring at 0x400, tables and buffers anywhere.
    static let virtqueue = FuzzTarget("virtqueue") { bytes in
        var input = InputReader(bytes)
        let shape = input.byte()
        guard let memory = try? GuestMemory(MachineMemoryLayout(size: 1 << 16)) else {
            fatalError("there is no memory for a queue")
        }
        var state = VirtQueue.State()
        state.size = 1 << UInt16(shape & 7)
        state.isReady = true
        state.driver = 0x400
        // In a place of its own, or over the others.
        state.device = shape & 0x20 == 0 ? 0x800 : 0x400
        var features: VirtioFeatures = [.version1]
        if shape & 8 != 0 { features.insert(.indirectDescriptors) }
        if shape & 16 != 0 { features.insert(.eventIndex) }
        try? memory.write(input.bytes(1 << 15), at: GuestAddress(0))
        guard let queue = try? VirtQueue(state, features: features, memory: memory) else {
            fatalError("a queue in its place is refused")
        }
        // A ring that the device itself advances, where they overlap, has no end.
        for _ in 0..<64 {
            guard let chain = try? queue.next() else { break }
            let ranges = chain.readable + chain.writable
            precondition(ranges.count <= Int(state.size), "a chain is no longer than its queue")
            precondition(ranges.allSatisfy { $0.address.rawValue + UInt64($0.count) <= 1 << 16 }, "inside memory")
            _ = chain.read(upTo: 64)
            queue.finish(chain, written: chain.write([1, 2, 3, 4, 5]))
            _ = queue.takesInterrupt()
            _ = queue.awaitRequest()
        }
    }

    /// Writes to registers: a register, a value in one byte or four.
    static let virtioRegisters = FuzzTarget("virtio-registers") { bytes in
        let sizes: [UInt16] = [64, 16, 1]
        let description = VirtioDeviceDescription(kind: .console, features: [], queueSizes: sizes)
        var registers = MMIORegisters(description)
        var isActive = false
        var input = InputReader(bytes)
        while !input.isAtEnd {
            let code = input.byte()
            let offset = Int(code & 0x7F) * 2
            let value = code & 0x80 == 0 ? UInt32(input.byte()) : input.integer()
            switch registers.write(offset, value) {
            case .none: break
            case .reset: isActive = false
            case .activate(let queues, let features):
                precondition(!isActive, "a device starts once")
                precondition(features.contains(.version1) && description.features.isSuperset(of: features), "agreed")
                for (queue, largest) in zip(queues, sizes) where queue.isReady {
                    precondition(
                        queue.size > 0 && queue.size <= largest && queue.size & (queue.size - 1) == 0,
                        "a size"
                    )
                }
                isActive = true
            }
            _ = registers.read(offset)
            let status = registers.read(0x70)
            precondition(isActive == (status & 4 != 0), "DRIVER_OK is an active device's")
        }
    }
}
