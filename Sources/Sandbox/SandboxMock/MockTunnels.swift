package import Sandboxing
internal import Synchronization

/// Connections from mock programs to listeners of the host, in memory. Any thread; guarded by `listeners`.
package final class MockTunnels: Sendable {
    private let listeners = Mutex<[UInt16: MockListener]>([:])

    init() {}

    func listen(_ port: UInt16) throws -> any TunnelListener {
        try listeners.withLock { listeners in
            let free = port != 0 ? port : (30000...).first { listeners[$0] == nil } ?? 30000
            guard listeners[free] == nil else {
                throw SandboxError(.alreadyExists, resource: "guest port \(free)", "the port is taken")
            }
            let listener = MockListener(port: free)
            listeners[free] = listener
            return listener
        }
    }

    /// Connects as a program in the box would; nil where nobody listens.
    package func connect(to port: UInt16) async throws -> (any TunnelConnection)? {
        guard let listener = listeners.withLock({ $0[port] }) else { return nil }
        let (toHost, toGuest) = (MockChannel<[UInt8]>(), MockChannel<[UInt8]>())
        try await listener.connections.put(MockConnection(incoming: toHost, outgoing: toGuest))
        return MockConnection(incoming: toGuest, outgoing: toHost)
    }

    func close() {
        let all = listeners.withLock { listeners in
            defer { listeners = [:] }
            return listeners.values.map { $0 }
        }
        for listener in all { listener.connections.close() }
    }
}

private final class MockListener: TunnelListener {
    let port: UInt16
    let connections = MockChannel<MockConnection>()

    init(port: UInt16) {
        self.port = port
    }

    func nextConnection() async throws -> (any TunnelConnection)? { try await connections.next() }
    func close() async { connections.close() }
}

private final class MockConnection: TunnelConnection {
    private let incoming: MockChannel<[UInt8]>
    private let outgoing: MockChannel<[UInt8]>

    init(incoming: MockChannel<[UInt8]>, outgoing: MockChannel<[UInt8]>) {
        self.incoming = incoming
        self.outgoing = outgoing
    }

    func receive() async throws -> [UInt8]? { try await incoming.next() }
    func send(_ bytes: [UInt8]) async throws { try await outgoing.put(bytes) }
    func finishSending() async throws { outgoing.close() }

    func close() async {
        incoming.close()
        outgoing.close()
    }
}
