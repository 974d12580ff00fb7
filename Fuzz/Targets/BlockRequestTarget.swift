import MachineMemory
import Virtio

@testable import VirtioDevices

extension FuzzTarget {
    /// The first bytes choose the disk and how the rest, which is the guest's memory, is cut into a chain of buffers.
    static let blockRequest = FuzzTarget("block-request") { bytes in
        var input = InputReader(bytes)
        let disk = BlockDevice.Disk(
            serial: "fuzz",
            size: UInt64(input.byte()) * 700,
            isReadOnly: input.byte() & 1 != 0,
        )
        guard let memory = try? GuestMemory(MachineMemoryLayout(size: 1 << 16)) else {
            fatalError("there is no memory for a request")
        }
        var position: UInt64 = 0
        let buffers = input.bytes(6).map { count -> GuestRange? in
            defer { position += UInt64(count) }
            return count == 0 ? nil : try? memory.range(at: GuestAddress(position), count: UInt64(count))
        }
        try? memory.write(input.bytes(1 << 15), at: GuestAddress(0))
        let chain = DescriptorChain(
            head: 0,
            readable: buffers.prefix(3).compactMap(\.self),
            writable: buffers.dropFirst(3).compactMap(\.self),
        )
        guard let request = try? BlockRequest(chain, disk: disk) else { return }
        let size = disk.size / 512 * 512
        switch request.operation {
        case .read(let offset, let count), .write(let offset, let count):
            precondition(offset % 512 == 0 && offset <= size && UInt64(count) <= size - offset, "on the disk")
            precondition(request.data.reduce(0) { $0 + $1.count } == count, "as much as there is room for")
        case .discard(let ranges): precondition(ranges.allSatisfy { $0.upperBound <= size }, "on the disk")
        case .writeZeroes(let ranges): precondition(ranges.allSatisfy { $0.bytes.upperBound <= size }, "on the disk")
        case .flush, .serial, .refused, .unsupported: return
        }
        if case .read = request.operation { return }
        precondition(!disk.isReadOnly, "a read-only disk is not changed")
    }
}
