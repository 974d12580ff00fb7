internal import AsyncAlgorithms
internal import HTTPSupport
internal import Sandboxing

/// A box whose connections are made of nothing but rendezvous: a byte that nobody takes is a byte that nobody sent.
final class PipeSandbox: OnlyListens {
    let identity = SandboxIdentity(name: "pipe", backend: .mock)
    private let connections = AsyncChannel<any TunnelConnection>()

    func listen(port: UInt16) async throws -> any TunnelListener { PipeListener(connections: connections) }

    /// The guest's end of a new connection.
    func connect() async -> PipeEnd {
        let toHost = AsyncChannel<[UInt8]>()
        let toGuest = AsyncChannel<[UInt8]>()
        await connections.send(PipeConnection(incoming: toHost, outgoing: toGuest))
        return PipeEnd(incoming: toGuest, outgoing: toHost)
    }
}

struct PipeEnd: Sendable {
    let incoming: AsyncChannel<[UInt8]>
    let outgoing: AsyncChannel<[UInt8]>

    func send(_ bytes: [UInt8]) async { await outgoing.send(bytes) }

    func receive() async -> [UInt8]? {
        for await bytes in incoming { return bytes }
        return nil
    }
}

private struct PipeListener: TunnelListener {
    let connections: AsyncChannel<any TunnelConnection>
    var port: UInt16 { 4000 }

    func nextConnection() async throws -> (any TunnelConnection)? {
        for await connection in connections { return connection }
        return nil
    }

    func close() async { connections.finish() }
}

private struct PipeConnection: TunnelConnection {
    let incoming: AsyncChannel<[UInt8]>
    let outgoing: AsyncChannel<[UInt8]>

    func receive() async throws -> [UInt8]? {
        for await bytes in incoming { return bytes }
        return nil
    }

    func send(_ bytes: [UInt8]) async throws { await outgoing.send(bytes) }
    func finishSending() async throws { outgoing.finish() }

    func close() async {
        incoming.finish()
        outgoing.finish()
    }
}
