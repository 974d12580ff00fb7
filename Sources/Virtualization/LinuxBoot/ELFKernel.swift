internal import ByteCodec

/// An uncompressed Linux kernel: a 64-bit little-endian ELF executable for x86-64 (System V gABI, chapters 4 and 5).
///
/// Only the headers are parsed; the segments are read straight from the file into the guest's memory.
package struct ELFKernel: Hashable, Sendable {
    package struct Segment: Hashable, Sendable {
        package let fileOffset: UInt64
        package let physicalAddress: UInt64
        package let fileSize: UInt64
        package let memorySize: UInt64
    }

    package enum Violation: Error, Hashable, Sendable {
        case notELF
        case notFor64BitX86
        case notExecutable(type: UInt16)
        case programHeaders(offset: UInt64, entrySize: UInt16, count: Int)
        case segmentOutOfFile(index: Int)
        /// Smaller in memory than in the file, or around the end of the address space.
        case segmentSize(index: Int)
        case noSegment
        case entryOutside(UInt64)
        case truncated
    }

    /// How much of the file's front holds all headers of any kernel that we take.
    package static let frontSize = 65536
    /// A kernel has five.
    private static let maxProgramHeaders = 64
    private static let programHeaderSize = 56
    private static let loadable: UInt32 = 1

    package let entry: UInt64
    package let segments: [Segment]

    static func isELF(_ front: [UInt8]) -> Bool {
        front.starts(with: [0x7F, 0x45, 0x4C, 0x46])
    }

    /// `front` is the file's front, `fileSize` the size of the whole file.
    package init(front: [UInt8], fileSize: UInt64) throws(Violation) {
        guard Self.isELF(front) else { throw .notELF }
        let header = try Header(front)
        let size = Int(header.tableEntrySize)
        guard size >= Self.programHeaderSize, header.tableCount <= Self.maxProgramHeaders,
            let start = Int(exactly: header.tableOffset), start <= front.count,
            size * header.tableCount <= front.count - start
        else {
            throw .programHeaders(
                offset: header.tableOffset,
                entrySize: header.tableEntrySize,
                count: header.tableCount,
            )
        }
        var segments: [Segment] = []
        for index in 0..<header.tableCount {
            let bytes = front[(start + index * size)...].prefix(Self.programHeaderSize)
            if let segment = try Self.segment(bytes, index, fileSize) { segments.append(segment) }
        }
        guard !segments.isEmpty else { throw .noSegment }
        let holdsEntry = segments.contains {
            header.entry >= $0.physicalAddress && header.entry - $0.physicalAddress < $0.fileSize
        }
        guard holdsEntry else { throw .entryOutside(header.entry) }
        entry = header.entry
        self.segments = segments
    }

    /// Nil for a header of another kind.
    private static func segment(
        _ bytes: ArraySlice<UInt8>,
        _ index: Int,
        _ file: UInt64,
    ) throws(Violation) -> Segment? {
        let fields: (type: UInt32, offset: UInt64, address: UInt64, fileSize: UInt64, memorySize: UInt64)
        do throws(ByteReaderOverrun) {
            var reader = ByteReader(bytes)
            let type = try reader.littleEndian(UInt32.self)
            _ = try reader.slice(4)  // Flags: the guest's page tables decide.
            let offset = try reader.littleEndian(UInt64.self)
            _ = try reader.slice(8)  // Virtual address.
            fields = (type, offset, try reader.littleEndian(), try reader.littleEndian(), try reader.littleEndian())
        } catch {
            throw .truncated
        }
        guard fields.type == loadable, fields.memorySize > 0 else { return nil }
        guard fields.fileSize <= fields.memorySize,
            !fields.address.addingReportingOverflow(fields.memorySize).overflow
        else { throw .segmentSize(index: index) }
        let (end, overflow) = fields.offset.addingReportingOverflow(fields.fileSize)
        guard !overflow, end <= file else { throw .segmentOutOfFile(index: index) }
        return Segment(
            fileOffset: fields.offset,
            physicalAddress: fields.address,
            fileSize: fields.fileSize,
            memorySize: fields.memorySize,
        )
    }

    private struct Header {
        let entry: UInt64
        let tableOffset: UInt64
        let tableEntrySize: UInt16
        let tableCount: Int

        init(_ front: [UInt8]) throws(Violation) {
            let kind: [UInt8]
            let type: UInt16
            let machine: UInt16
            do throws(ByteReaderOverrun) {
                var reader = ByteReader(front)
                _ = try reader.slice(4)
                kind = Array(try reader.slice(12))
                type = try reader.littleEndian()
                machine = try reader.littleEndian()
                _ = try reader.slice(4)  // Version.
                entry = try reader.littleEndian()
                tableOffset = try reader.littleEndian()
                _ = try reader.slice(8 + 4 + 2)  // Section headers, flags, size of this header.
                tableEntrySize = try reader.littleEndian()
                tableCount = Int(try reader.littleEndian(UInt16.self))
            } catch {
                throw .truncated
            }
            // Class 64, little endian; EM_X86_64.
            guard kind[0] == 2, kind[1] == 1, machine == 62 else { throw .notFor64BitX86 }
            guard type == 2 || type == 3 else { throw .notExecutable(type: type) }
        }
    }
}
