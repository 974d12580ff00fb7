import ByteCodec
import Testing

@Suite("Byte codec") struct ByteCodecTests {
    @Test func `integers are read in both orders`() throws {
        var reader = ByteReader([0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0xFF, 0xFE])
        #expect(try reader.bigEndian(UInt32.self) == 0x1234_5678)
        #expect(try reader.littleEndian(UInt16.self) == 0x3412)
        #expect(try reader.bigEndian(Int16.self) == -2)
        #expect(reader.remaining == 0)
    }

    @Test func `a read beyond the end throws with the numbers and moves nothing`() throws {
        var reader = ByteReader([1, 2, 3])
        _ = try reader.slice(1)
        #expect(throws: ByteReaderOverrun(offset: 1, wanted: 4, available: 2)) { try reader.bigEndian(UInt32.self) }
        #expect(throws: ByteReaderOverrun(offset: 1, wanted: -1, available: 2)) { try reader.slice(-1) }
        #expect(try reader.bigEndian(UInt16.self) == 0x0203)
    }

    @Test func `written integers read back`() throws {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: UInt32(0xDEAD_BEEF))
        bytes.append(littleEndian: UInt16(0xCAFE))
        #expect(bytes == [0xDE, 0xAD, 0xBE, 0xEF, 0xFE, 0xCA])
    }

    @Test func `a queue gives bytes in order whatever the pieces`() {
        var queue = ByteQueue()
        var expected: [UInt8] = []
        var taken: [UInt8] = []
        for round in 0..<500 {
            let piece = (0..<(round * 37 % 1000)).map { UInt8(truncatingIfNeeded: $0 &+ round) }
            queue.append(piece)
            expected += piece
            let part = Array(queue.contents.prefix(round * 53 % 900))
            taken += part
            queue.removeFirst(part.count)
        }
        taken += queue.contents
        #expect(taken == expected)
    }
}
