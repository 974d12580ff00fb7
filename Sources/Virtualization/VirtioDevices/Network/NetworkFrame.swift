internal import ByteCodec

/// What is true of every Ethernet frame between a guest and its network.
package enum NetworkFrame {
    /// What fits into a frame behind its header: the most that IPv4 and libslirp go along with, in whole 16-byte units.
    package static let maxTransmissionUnit: UInt16 = 65520
    /// Two addresses and a type.
    package static let headerLength = 14
    private static let tagLength = 4
    /// No frame that is sent on is longer.
    package static let maxLength = Int(maxTransmissionUnit) + headerLength + tagLength
}

/// Takes the frames out of a stream in QEMU's framing: the length as four bytes, big-endian, then the frame.
///
/// Pure. It holds one frame that is not whole and what was appended at once.
package struct FrameDecoder: Sendable {
    /// The peer breaks the framing. Nothing that follows means anything.
    package struct Violation: Error, Hashable, Sendable {
        package let length: UInt32
    }

    static let prefixLength = 4

    private var buffer = ByteQueue()

    package init() {}

    package var count: Int { buffer.count }

    package mutating func append(_ bytes: [UInt8]) {
        buffer.append(bytes)
    }

    /// The first frame, if it is whole.
    package var first: ArraySlice<UInt8>? {
        get throws(Violation) {
            guard buffer.count >= Self.prefixLength else { return nil }
            let contents = buffer.contents
            let length = contents.prefix(Self.prefixLength).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            guard length >= UInt32(NetworkFrame.headerLength), length <= UInt32(NetworkFrame.maxLength) else {
                throw Violation(length: length)
            }
            let frame = contents.dropFirst(Self.prefixLength).prefix(Int(length))
            return frame.count == Int(length) ? frame : nil
        }
    }

    /// Drops the first frame, which was `length` bytes.
    package mutating func removeFirst(length: Int) {
        buffer.removeFirst(Self.prefixLength + length)
    }
}

extension ByteQueue {
    /// Puts a frame on a stream.
    mutating func appendFrame(_ frame: some Collection<UInt8>) {
        var prefix: [UInt8] = []
        prefix.append(bigEndian: UInt32(frame.count))
        append(prefix)
        append(frame)
    }
}
