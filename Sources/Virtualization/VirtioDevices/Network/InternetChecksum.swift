/// The checksum of the Internet protocols (RFC 1071): sums of 16-bit words in ones' complement, an odd byte at the end
/// counting as the upper half of one.
enum InternetChecksum {
    static func sum(_ bytes: ArraySlice<UInt8>, adding start: UInt64 = 0) -> UInt64 {
        var total = start
        var index = bytes.startIndex
        let end = bytes.endIndex
        while index + 1 < end {
            total &+= UInt64(bytes[index]) << 8 | UInt64(bytes[index + 1])
            index += 2
        }
        if index < end { total &+= UInt64(bytes[index]) << 8 }
        return total
    }

    static func folded(_ sum: UInt64) -> UInt16 {
        var sum = sum
        while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
        return UInt16(truncatingIfNeeded: sum)
    }
}

extension [UInt8] {
    /// A big-endian field that is in the array.
    func field16(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

    mutating func setField16(_ value: UInt16, at offset: Int) {
        self[offset] = UInt8(value >> 8)
        self[offset + 1] = UInt8(truncatingIfNeeded: value)
    }

    /// Completes a transport's checksum over all from `start` on, whose field at `offset` holds the sum of the
    /// pseudo-header.
    mutating func completeChecksum(from start: Int, field offset: Int) {
        let value = ~InternetChecksum.folded(InternetChecksum.sum(self[start...]))
        // Zero means none in UDP, and the same as all ones elsewhere.
        setField16(value == 0 ? 0xFFFF : value, at: offset)
    }
}
