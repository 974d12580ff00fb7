internal import AsyncAlgorithms
internal import NIOCore
internal import NIOPosix
internal import Primitives
package import Sandboxing
internal import Synchronization

/// A box that is none: its loopback is the host's, so that real clients can play the guest.
package final class LoopbackSandbox: OnlyListens {
    package init() {}

    package let identity = SandboxIdentity(name: "loopback", backend: .mock)

    package func listen(port: UInt16) async throws -> any TunnelListener {
        let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: Int(port)) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true),
                    )
                }
            }
        return LoopbackListener(server)
    }
}

private final class LoopbackListener: TunnelListener {
    typealias Child = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    let port: UInt16
    private let server: NIOAsyncChannel<Child, Never>
    private let accepted = AsyncChannel<LoopbackConnection>()
    private let task: Task<Void, any Error>

    init(_ server: NIOAsyncChannel<Child, Never>) {
        self.server = server
        port = UInt16(server.channel.localAddress?.port ?? 0)
        task = Task { [accepted] in
            try await server.executeThenClose { children in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await child in children {
                        group.addTask {
                            // A connection that breaks is the test's business, at the other end of it.
                            try? await child.executeThenClose { inbound, outbound in
                                let connection = LoopbackConnection(inbound, outbound)
                                await accepted.send(connection)
                                await connection.waitUntilClosed()
                            }
                        }
                    }
                }
            }
        }
    }

    func nextConnection() async throws -> (any TunnelConnection)? {
        for await connection in accepted { return connection }
        return nil
    }

    func close() async {
        accepted.finish()
        task.cancel()
        _ = await task.result
    }
}

private final class LoopbackConnection: TunnelConnection {
    private let received = AsyncThrowingChannel<[UInt8], any Error>()
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private let closed = AsyncChannel<Never>()
    private let pump: Task<Void, Never>

    init(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) {
        self.outbound = outbound
        pump = Task { [received] in
            do {
                for try await buffer in inbound { await received.send(Array(buffer.readableBytesView)) }
                received.finish()
            } catch {
                received.fail(error)
            }
        }
    }

    func receive() async throws -> [UInt8]? {
        for try await bytes in received { return bytes }
        return nil
    }

    func send(_ bytes: [UInt8]) async throws { try await outbound.write(ByteBuffer(bytes: bytes)) }

    func finishSending() async throws { outbound.finish() }

    func close() async {
        received.finish()
        pump.cancel()
        closed.finish()
    }

    func waitUntilClosed() async {
        for await _ in closed {}
        await pump.value
    }
}
