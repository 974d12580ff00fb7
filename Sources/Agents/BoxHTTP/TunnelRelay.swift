internal import NIOCore
internal import Sandboxing

/// Copies bytes between a tunnel and a socket, each direction at the pace of its reader.
struct TunnelRelay: Sendable {
    let connection: any TunnelConnection
    let lingerTimeout: Duration

    private enum End {
        case guest, host, linger
    }

    /// Returns when the guest has closed the connection, or when the host has and the guest took everything or its time
    /// was up.
    func run(_ wire: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async throws {
        try await wire.executeThenClose { inbound, outbound in
            try await withThrowingTaskGroup(of: End.self) { group in
                group.addTask { try await copyFromGuest(to: outbound) }
                group.addTask { try await copyToGuest(from: inbound) }
                var end = try await group.next()
                if end == .host {
                    group.addTask {
                        try await Task.sleep(for: lingerTimeout)
                        return .linger
                    }
                    end = try await group.next()
                }
                group.cancelAll()
            }
        }
    }

    private func copyFromGuest(to outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws -> End {
        var isOpen = true
        while let bytes = try await connection.receive() {
            guard isOpen else { continue }
            do {
                try await outbound.write(ByteBuffer(bytes: bytes))
            } catch {
                // The server has closed this connection and wants no more of it. What is still on its way is thrown away,
                // so that the guest can read the answer first.
                try Task.checkCancellation()
                isOpen = false
            }
        }
        return .guest
    }

    private func copyToGuest(from inbound: NIOAsyncChannelInboundStream<ByteBuffer>) async throws -> End {
        do {
            for try await buffer in inbound {
                try await connection.send(Array(buffer.readableBytesView))
            }
        } catch let error as IOError {
            // The server closed with bytes of the guest unread. All that it wrote has been read before this is reported.
            _ = error
        }
        try await connection.finishSending()
        return .host
    }
}
