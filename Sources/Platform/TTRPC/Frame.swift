internal import ByteCodec

/// The 10 bytes before each message, "Message Frame" of the protocol specification.
///
/// https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
package struct FrameHeader: Hashable, Sendable {
    package static let byteCount = 10
    /// The longest message; a longer one is discarded and refused.
    package static let maxLength: UInt32 = 4 << 20

    package var length: UInt32
    package var streamID: UInt32
    package var type: UInt8
    package var flags: FrameFlags

    package init(length: UInt32, streamID: UInt32, type: FrameType, flags: FrameFlags = []) {
        self.length = length
        self.streamID = streamID
        self.type = type.rawValue
        self.flags = flags
    }

    init(parsing reader: inout ByteReader) throws(ByteReaderOverrun) {
        length = try reader.bigEndian()
        streamID = try reader.bigEndian()
        type = try reader.bigEndian()
        flags = FrameFlags(rawValue: try reader.bigEndian())
    }

    func write(to bytes: inout [UInt8]) {
        bytes.append(bigEndian: length)
        bytes.append(bigEndian: streamID)
        bytes.append(type)
        bytes.append(flags.rawValue)
    }
}

package enum FrameType: UInt8, Sendable {
    case request = 1
    case response = 2
    case data = 3
}

package struct FrameFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The sender sends no more data on this stream.
    package static let remoteClosed = FrameFlags(rawValue: 0x01)
    /// The sender of a request is going to send data.
    package static let remoteOpen = FrameFlags(rawValue: 0x02)
    /// The data frame carries no message, not even an empty one.
    package static let noData = FrameFlags(rawValue: 0x04)
}

/// What a peer did that the protocol does not allow. It ends the connection.
package enum TTRPCViolation: Error, Hashable, Sendable {
    case unknownFrameType(UInt8, streamID: UInt32)
    /// A client's stream has an odd identifier, higher than all before it.
    case streamIDNotNew(UInt32, last: UInt32)
    case unexpectedFrame(FrameType, streamID: UInt32)
    case dataOnUnknownStream(UInt32)
    case dataAfterClose(UInt32)
    case malformedEnvelope(streamID: UInt32)
    /// More unread bytes than a stream may hold: the peer ignores the application's credits.
    case streamOverrun(UInt32, bytes: Int)
}

/// Cuts received bytes into frames. Holds at most one partial frame.
struct FrameParser: Sendable {
    enum Element: Equatable {
        case frame(FrameHeader, ArraySlice<UInt8>)
        /// A message above the limit: it is skipped, and the header says whose it was.
        case oversized(FrameHeader)
    }

    private var pending = ByteQueue()
    private var toSkip = 0

    mutating func receive(_ bytes: some Collection<UInt8>) {
        let skipped = min(toSkip, bytes.count)
        toSkip -= skipped
        pending.append(bytes.dropFirst(skipped))
    }

    /// The next complete frame, or nil until more bytes arrive.
    mutating func next() -> Element? {
        guard pending.count >= FrameHeader.byteCount else { return nil }
        let contents = pending.contents
        var reader = ByteReader(contents)
        // The guard above makes the header complete, so neither read can fail.
        guard let header = try? FrameHeader(parsing: &reader) else { return nil }
        if header.length > FrameHeader.maxLength {
            let here = min(Int(header.length), reader.remaining)
            pending.removeFirst(FrameHeader.byteCount + here)
            toSkip = Int(header.length) - here
            return .oversized(header)
        }
        guard let message = try? reader.slice(Int(header.length)) else { return nil }
        pending.removeFirst(FrameHeader.byteCount + message.count)
        return .frame(header, message)
    }
}

/// One frame as bytes.
func encodeFrame(_ type: FrameType, streamID: UInt32, flags: FrameFlags = [], _ message: some Collection<UInt8>)
    -> [UInt8]
{
    var bytes: [UInt8] = []
    bytes.reserveCapacity(FrameHeader.byteCount + message.count)
    FrameHeader(length: UInt32(message.count), streamID: streamID, type: type, flags: flags).write(to: &bytes)
    bytes.append(contentsOf: message)
    return bytes
}
