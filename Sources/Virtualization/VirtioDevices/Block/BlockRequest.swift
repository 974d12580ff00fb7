internal import ByteCodec
internal import MachineMemory
package import Virtio

/// What a driver asks of a disk (virtio 1.2, section 5.2.6), checked against the disk's size.
package struct BlockRequest {
    static let sectorSize: UInt64 = 512
    static let serialSize = 20
    /// Of a discard or write-zeroes request, 16 bytes each.
    static let maxSegments = 32
    /// Of one such segment: 128 MiB, which a file system gives back at once.
    static let maxSegmentSectors: UInt32 = 1 << 18

    package enum Violation: Error, Hashable, Sendable {
        /// Without room for the status there is no way to answer.
        case noStatus
        case header(count: Int)
    }

    /// What is done, on bytes of the disk.
    package enum Operation: Equatable {
        case read(offset: UInt64, count: Int)
        case write(offset: UInt64, count: Int)
        case flush
        case serial
        case discard([Range<UInt64>])
        case writeZeroes([ZeroedRange])
        /// The driver's mistake, answered as an I/O error.
        case refused
        case unsupported
    }

    package struct ZeroedRange: Equatable {
        package let bytes: Range<UInt64>
        /// The driver does not mind if the file gives up its space.
        package let mayUnmap: Bool
    }

    /// Section 5.2.6.
    private enum Kind {
        static let read: UInt32 = 0
        static let write: UInt32 = 1
        static let flush: UInt32 = 4
        static let serial: UInt32 = 8
        static let discard: UInt32 = 11
        static let writeZeroes: UInt32 = 13
    }

    private static let headerSize = 16
    private static let unmap: UInt32 = 1

    package let operation: Operation
    /// Where the data is, without header and status.
    let data: [GuestRange]
    let status: GuestRange

    package init(_ chain: DescriptorChain, disk: BlockDevice.Disk) throws {
        let writable = chain.writableCount
        guard writable >= 1, let last = chain.writable.last else { throw Violation.noStatus }
        status = last.dropFirst(last.count - 1)
        let header = chain.read(upTo: Self.headerSize)
        guard header.count == Self.headerSize else { throw Violation.header(count: header.count) }
        var reader = ByteReader(header)
        let kind = try reader.littleEndian(UInt32.self)
        _ = try reader.slice(4)
        let sector = try reader.littleEndian(UInt64.self)
        let input = chain.readable.withoutFirstBytes(Self.headerSize)
        switch kind {
        case Kind.read:
            data = chain.writable.firstBytes(writable - 1)
            operation =
                disk.bytes(from: sector, count: writable - 1).map { .read(offset: $0, count: writable - 1) }
                ?? .refused
        case Kind.write:
            data = input
            let count = chain.readableCount - Self.headerSize
            let place = disk.isReadOnly ? nil : disk.bytes(from: sector, count: count)
            operation = place.map { .write(offset: $0, count: count) } ?? .refused
        case Kind.flush:
            data = []
            operation = .flush
        case Kind.serial:
            data = chain.writable.firstBytes(min(writable - 1, Self.serialSize))
            operation = .serial
        case Kind.discard, Kind.writeZeroes:
            data = []
            operation = disk.isReadOnly ? .refused : try Self.ranges(input, disk, areDiscarded: kind == Kind.discard)
        default:
            data = []
            operation = .unsupported
        }
    }

    /// How much data it moves.
    package var transferCount: Int {
        switch operation {
        case .read(_, let count), .write(_, let count): count
        case .flush, .serial, .discard, .writeZeroes, .refused, .unsupported: 0
        }
    }

    /// The segments of a discard or write-zeroes request: all of them, or none.
    private static func ranges(
        _ input: [GuestRange],
        _ disk: BlockDevice.Disk,
        areDiscarded: Bool,
    ) throws -> Operation {
        let bytes = input.firstBytes(maxSegments * 16 + 1).flatMap { $0.read() }
        guard !bytes.isEmpty, bytes.count % 16 == 0, bytes.count <= maxSegments * 16 else { return .refused }
        var reader = ByteReader(bytes)
        var ranges: [ZeroedRange] = []
        var isUnsupported = false
        while reader.remaining > 0 {
            let sector = try reader.littleEndian(UInt64.self)
            let sectors = try reader.littleEndian(UInt32.self)
            let flags = try reader.littleEndian(UInt32.self)
            let count = Int(sectors) * Int(sectorSize)
            guard sectors <= maxSegmentSectors, let start = disk.bytes(from: sector, count: count) else {
                return .refused
            }
            // Unmap is the only flag, and only of write-zeroes.
            if flags & ~(areDiscarded ? 0 : unmap) != 0 { isUnsupported = true }
            let range = ZeroedRange(bytes: start..<start + UInt64(count), mayUnmap: flags & unmap != 0)
            if count > 0 { ranges.append(range) }
        }
        if isUnsupported { return .unsupported }
        return areDiscarded ? .discard(ranges.map(\.bytes)) : .writeZeroes(ranges)
    }
}
