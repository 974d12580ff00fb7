internal import ByteCodec

/// The header of a packet, the same from driver and from device (virtio 1.2, section 5.10.6).
struct VsockPacket: Hashable, Sendable {
    static let headerLength = 44
    /// What the host is called in every machine.
    static let hostCID: UInt64 = 2

    enum Operation: UInt16, Hashable, Sendable {
        case request = 1
        case response = 2
        case reset = 3
        case shutdown = 4
        case readWrite = 5
        case creditUpdate = 6
        case creditRequest = 7
    }

    /// What a sender of `shutdown` does no more.
    struct Shutdown: OptionSet, Hashable, Sendable {
        let rawValue: UInt32
        static let receive = Shutdown(rawValue: 1)
        static let send = Shutdown(rawValue: 2)
        static let both: Shutdown = [.receive, .send]
    }

    enum Violation: Error, Hashable, Sendable {
        case headerTooShort(count: Int)
    }

    /// Of a stream, the only type that we speak.
    static let streamType: UInt16 = 1

    var sourceCID: UInt64
    var destinationCID: UInt64
    var sourcePort: UInt32
    var destinationPort: UInt32
    /// Of the data behind the header.
    var length: UInt32 = 0
    var type = streamType
    /// As it came: a number that means nothing is answered, not refused.
    var rawOperation: UInt16
    var flags: UInt32 = 0
    /// The sender's window, and how many bytes of it were taken since the connection began, modulo 2^32.
    var window: UInt32 = 0
    var taken: UInt32 = 0

    var operation: Operation? { Operation(rawValue: rawOperation) }
    var shutdown: Shutdown { Shutdown(rawValue: flags).intersection(.both) }
}

extension VsockPacket {
    /// The first bytes of `bytes`; more may follow.
    init(parsing bytes: [UInt8]) throws(Violation) {
        var reader = ByteReader(bytes)
        do throws(ByteReaderOverrun) {
            sourceCID = try reader.littleEndian()
            destinationCID = try reader.littleEndian()
            sourcePort = try reader.littleEndian()
            destinationPort = try reader.littleEndian()
            length = try reader.littleEndian()
            type = try reader.littleEndian()
            rawOperation = try reader.littleEndian()
            flags = try reader.littleEndian()
            window = try reader.littleEndian()
            taken = try reader.littleEndian()
        } catch {
            throw .headerTooShort(count: bytes.count)
        }
    }

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headerLength)
        bytes.append(littleEndian: sourceCID)
        bytes.append(littleEndian: destinationCID)
        bytes.append(littleEndian: sourcePort)
        bytes.append(littleEndian: destinationPort)
        bytes.append(littleEndian: length)
        bytes.append(littleEndian: type)
        bytes.append(littleEndian: rawOperation)
        bytes.append(littleEndian: flags)
        bytes.append(littleEndian: window)
        bytes.append(littleEndian: taken)
        return bytes
    }

    /// What says to its sender that there is no such connection.
    var refusal: VsockPacket {
        VsockPacket(
            sourceCID: destinationCID,
            destinationCID: sourceCID,
            sourcePort: destinationPort,
            destinationPort: sourcePort,
            type: type,
            rawOperation: Operation.reset.rawValue,
        )
    }
}
