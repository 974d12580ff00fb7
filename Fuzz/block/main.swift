import FuzzDriver
import MachineMemory
import Virtio

@testable import VirtioDevices

guard let memory = try? GuestMemory(MachineMemoryLayout(size: 1 << 20)) else { fatalError("there is no memory") }

/// The first bytes choose the disk and how the rest, which is the guest's memory, is cut into a chain of buffers.
fuzz { bytes in
    guard bytes.count > 8 else { return }
    let disk = BlockDevice.Disk(serial: "fuzz", size: UInt64(bytes[0]) * 700, isReadOnly: bytes[1] & 1 != 0)
    let contents = Array(bytes.dropFirst(8).prefix(1 << 19))
    var position: UInt64 = 0
    func range(_ count: UInt8) -> GuestRange? {
        guard let range = try? memory.range(at: GuestAddress(position), count: UInt64(count)) else { return nil }
        position += UInt64(count)
        return count == 0 ? nil : range
    }
    guard (try? memory.write(contents, at: GuestAddress(0))) != nil else { return }
    let readable = bytes[2..<5].compactMap(range)
    let writable = bytes[5..<8].compactMap(range)
    let chain = DescriptorChain(head: 0, readable: readable, writable: writable)
    guard let request = try? BlockRequest(chain, disk: disk) else { return }
    let size = disk.size / 512 * 512
    switch request.operation {
    case .read(let offset, let count), .write(let offset, let count):
        precondition(offset % 512 == 0 && offset <= size && UInt64(count) <= size - offset, "on the disk")
        precondition(request.data.reduce(0) { $0 + $1.count } == count, "as much as there is room for")
    case .discard(let ranges): precondition(ranges.allSatisfy { $0.upperBound <= size }, "on the disk")
    case .writeZeroes(let ranges): precondition(ranges.allSatisfy { $0.bytes.upperBound <= size }, "on the disk")
    case .flush, .serial, .refused, .unsupported: break
    }
    if disk.isReadOnly {
        switch request.operation {
        case .write, .discard, .writeZeroes: preconditionFailure("a read-only disk is changed")
        case .read, .flush, .serial, .refused, .unsupported: break
        }
    }
}
