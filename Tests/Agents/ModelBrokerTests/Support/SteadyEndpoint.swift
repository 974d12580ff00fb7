internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Answers every connection with one response of a given size, and counts what the kernel has taken of it.
final class SteadyEndpoint: Sendable {
    private let server: any Channel
    private let count: Counter

    private final class Counter: Sendable {
        let bytes = Mutex(0)
    }

    var baseURL: String { "http://127.0.0.1:\(server.localAddress?.port ?? 0)" }
    var written: Int { count.bytes.withLock { $0 } }

    init(size: Int) async throws {
        let count = Counter()
        self.count = count
        server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(size: size, count: count))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    func close() async throws { try await server.close() }

    /// Writes the next piece when the one before has left.
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private var rest: Int
        private var hasBegun = false
        private let size: Int
        private let count: Counter

        init(size: Int, count: Counter) {
            self.size = size
            self.count = count
            rest = size
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !hasBegun else { return }
            hasBegun = true
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: \(size)\r\n\r\n"
            context.write(wrapOutboundOut(ByteBuffer(string: head)), promise: nil)
            writeNext(context)
        }

        private func writeNext(_ context: ChannelHandlerContext) {
            guard rest > 0 else { return }
            let piece = ByteBuffer(repeating: 1, count: min(256 << 10, rest))
            rest -= piece.readableBytes
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(piece)).whenSuccess {
                let (handler, context) = bound.value
                handler.count.bytes.withLock { $0 += piece.readableBytes }
                handler.writeNext(context)
            }
        }
    }
}
