internal import ByteCodec
internal import LinuxSystem

/// `fuse_out_header` and what follows it.
struct FUSEReply {
    static let headerLength = 16

    private(set) var bytes: [UInt8]
    /// File data that is in its place in the guest already, behind the header.
    var dataCount = 0

    init(capacity: Int = 128) {
        bytes = []
        bytes.reserveCapacity(Self.headerLength + capacity)
        bytes.append(contentsOf: repeatElement(0, count: Self.headerLength))
    }

    init(_ payload: [UInt8]) {
        self.init(capacity: payload.count)
        bytes += payload
    }

    mutating func append(_ value: some FixedWidthInteger) {
        bytes.append(littleEndian: value)
    }

    mutating func append(_ payload: [UInt8]) {
        bytes += payload
    }

    mutating func appendZeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }

    /// Behind the header.
    var payloadCount: Int { bytes.count - Self.headerLength }

    /// Writes the header over the room that was kept for it.
    consuming func finished(unique: UInt64, error: Errno? = nil) -> [UInt8] {
        var header: [UInt8] = []
        header.reserveCapacity(Self.headerLength)
        header.append(littleEndian: UInt32(clamping: bytes.count + dataCount))
        header.append(littleEndian: -(error?.rawValue ?? 0))
        header.append(littleEndian: unique)
        bytes.replaceSubrange(..<Self.headerLength, with: header)
        return bytes
    }
}
