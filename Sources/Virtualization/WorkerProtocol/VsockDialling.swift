internal import ByteCodec

// A worker may open no socket. For each connection that the guest opens, it asks its parent, on a socket that keeps the
// boundaries of messages, for a stream to one of the host's ports; the answer carries the stream's descriptor.

/// Asks for a stream.
package struct DialRequest: Hashable, Sendable {
    package static let length = 8

    /// Comes back with the answer.
    package var id: UInt32
    package var port: UInt32

    package init(id: UInt32, port: UInt32) {
        self.id = id
        self.port = port
    }

    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: id)
        bytes.append(littleEndian: port)
        return bytes
    }

    /// Nil for what is no request.
    package init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard bytes.count == Self.length, let id = try? reader.littleEndian(UInt32.self),
            let port = try? reader.littleEndian(UInt32.self)
        else { return nil }
        self.init(id: id, port: port)
    }
}

/// Tells how it went.
package struct DialReply: Hashable, Sendable {
    package static let length = 5

    package var id: UInt32
    /// The message carries the stream's descriptor.
    package var isConnected: Bool

    package init(id: UInt32, isConnected: Bool) {
        self.id = id
        self.isConnected = isConnected
    }

    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: id)
        bytes.append(isConnected ? 1 : 0)
        return bytes
    }

    /// Nil for what is no reply.
    package init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard bytes.count == Self.length, let id = try? reader.littleEndian(UInt32.self) else { return nil }
        self.init(id: id, isConnected: bytes[4] == 1)
    }
}
