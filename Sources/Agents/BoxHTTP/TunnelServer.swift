package import HummingbirdCore
internal import LinuxSystem
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Sandboxing
internal import Synchronization

/// Answers one request of a program in a box.
package typealias BoxResponder =
    @concurrent @Sendable (Request, consuming ResponseWriter, BoxConnection) async throws -> Void

/// What carries the answers to one program in a box.
package struct BoxConnection: Sendable {
    fileprivate let eventLoop: any NIOCore.EventLoop

    /// Waits until what was written has come to the connection. Only then does the next write wait for a guest that does not
    /// read: a connection takes whatever is written before its thread has come to look, which on a busy host is late.
    package func keepPace() async throws {
        try await eventLoop.submit {}.get()
    }
}

/// What the programs of one box may ask of a server on the host.
package struct BoxServerLimits: Hashable, Sendable {
    /// At a time.
    package var maxConnections: Int
    /// How long a guest that does not read may keep a connection that the server has ended.
    package var lingerTimeout: Duration

    package init(maxConnections: Int = 256, lingerTimeout: Duration = .seconds(5)) {
        self.maxConnections = maxConnections
        self.lingerTimeout = lingerTimeout
    }
}

/// Speaks HTTP/1.1 with the programs in one box. Each tunnel ends in one half of a socket pair, and the HTTP server has the
/// other: there is no address on the host that anybody else could connect to.
struct TunnelServer: Sendable {
    let listener: any TunnelListener
    let limits: BoxServerLimits
    let logger: Logger
    /// Called for a connection beyond the limit, which is closed.
    let onRefusal: @Sendable () -> Void
    let respond: BoxResponder

    /// Returns when the listener is closed, the box has ended, or the task is cancelled, and no connection is left.
    @concurrent
    func run() async {
        let open = ConnectionCount(limit: limits.maxConnections)
        await withDiscardingTaskGroup { group in
            do {
                while let connection = try await listener.nextConnection() {
                    guard open.enter() else {
                        onRefusal()
                        await connection.close()
                        continue
                    }
                    group.addTask {
                        await serve(connection)
                        open.leave()
                    }
                }
            } catch {
                // The box ended or the task was cancelled; if the listener broke, the agent's next call fails and says so.
                logger.debug("a server for a box stops listening", metadata: ["error": "\(error)"])
            }
            group.cancelAll()
        }
        await listener.close()
    }

    private func serve(_ connection: any TunnelConnection) async {
        do {
            // From here NIO owns the descriptors.
            let pair = try OwnedFD.socketPair(nonBlocking: true).relinquish()
            let server = HTTP1Channel { [respond] request, writer, channel in
                try await respond(request, writer, BoxConnection(eventLoop: channel.eventLoop))
            }
            let (http, wire) = try await connect(pair, server)
            await withTaskGroup { group in
                group.addTask { await server.handle(value: http, logger: logger) }
                let relay = TunnelRelay(connection: connection, lingerTimeout: limits.lingerTimeout)
                do {
                    try await relay.run(wire)
                } catch {
                    logger.debug("a connection of a box broke", metadata: ["error": "\(error)"])
                }
                // Nobody is left to read an answer: the endpoint need not write it.
                group.cancelAll()
            }
        } catch {
            logger.warning("a connection of a box cannot be served", metadata: ["error": "\(error)"])
        }
        await connection.close()
    }

    private func connect(
        _ pair: (first: Int32, second: Int32),
        _ server: HTTP1Channel,
    ) async throws -> (HTTP1Channel.Value, NIOAsyncChannel<ByteBuffer, ByteBuffer>) {
        let bootstrap = ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        let wire = try await bootstrap.withConnectedSocket(pair.first) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        do {
            let http = try await bootstrap.withConnectedSocket(pair.second) { channel in
                server.setup(channel: channel, logger: logger)
            }
            return (http, wire)
        } catch {
            try await wire.executeThenClose { _, _ in }
            throw error
        }
    }
}

/// How many connections are open. Any thread; guarded by `count`.
private final class ConnectionCount: Sendable {
    private let limit: Int
    private let count = Mutex(0)

    init(limit: Int) {
        self.limit = limit
    }

    func enter() -> Bool {
        count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    func leave() {
        count.withLock { $0 -= 1 }
    }
}
