import Sandboxing
import TestSupport
import Testing

@Suite("Contract: tunnels", .takesBoxSlot) struct TunnelContractTests {
    @Test(arguments: ContractBackend.all)
    func `bytes cross in both directions and each direction ends by itself`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        let listener = try await box.listen(port: 0)
        let program = try await box.exec(ExecRequest(backend.echoProgram(port: listener.port)))
        let connection = try #require(try await listener.nextConnection())
        let sent = (0..<8 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        async let sending: Void = {
            for start in stride(from: 0, to: sent.count, by: 100_000) {
                try await connection.send(Array(sent[start..<min(start + 100_000, sent.count)]))
            }
            try await connection.finishSending()
        }()
        var received: [UInt8] = []
        while let bytes = try await connection.receive() { received += bytes }
        try await sending
        #expect(received == sent)
        await connection.close()
        await listener.close()
        await program.close()
    }

    @Test(arguments: ContractBackend.all)
    func `the same port cannot be listened on twice`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        let listener = try await box.listen(port: 0)
        let error = await #expect(throws: SandboxError.self) { try await box.listen(port: listener.port) }
        #expect(error?.code == .alreadyExists)
        await listener.close()
    }
}

extension ContractBackend {
    /// A program in the box that connects to the port and sends back what it gets, to the end.
    fileprivate func echoProgram(port: UInt16) -> [String] {
        switch self {
        case .mock: ["tunnel-echo", "\(port)"]
        case .qemu, .kvm:
            [
                "python3", "-c",
                """
                import socket
                s = socket.create_connection(("127.0.0.1", \(port)))
                while data := s.recv(65536):
                    s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                """,
            ]
        }
    }
}
