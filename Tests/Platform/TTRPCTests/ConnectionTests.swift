import LinuxSystem
import Testing

@testable import TTRPC

@Suite("ttrpc connections", .timeLimit(.minutes(10))) struct TTRPCConnectionTests {
    @Test func `sixty-four calls at once each get their own answer`() async throws {
        try await Pair.with { client in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<64 {
                    group.addTask {
                        let payload = Array("call \(number)".utf8)
                        return try await client.call(Pair.echo, payload) == payload
                    }
                }
                for try await isRight in group { #expect(isRight) }
            }
        }
    }

    @Test func `calls and streams of many tasks leave in the order of their identifiers`() async throws {
        try await Pair.with { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 0..<8 {
                    group.addTask {
                        for number in 0..<500 {
                            let payload = [UInt8(task), UInt8(number % 256)]
                            guard number.isMultiple(of: 2) else {
                                let answer = try await client.call(Pair.echo, payload)
                                #expect(answer == payload)
                                continue
                            }
                            let stream = try client.openStream(Pair.echoStream, [])
                            try stream.send(payload)
                            let answer = try await stream.receive()
                            #expect(answer == payload)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `messages of a stream come back in order and the end comes last`() async throws {
        try await Pair.with { client in
            let stream = try client.openStream(Pair.echoStream, [])
            let sending = Task {
                for number in 0..<100 { try stream.send([UInt8(number)]) }
                stream.closeSending()
            }
            var received: [UInt8] = []
            while let message = try await stream.receive() { received += message }
            try await sending.value
            #expect(received == (0..<100).map { UInt8($0) })
        }
    }

    @Test func `a deadline that passes ends the call on both sides`() async throws {
        try await Pair.with { client in
            await #expect(throws: TTRPCError.self) { try await client.call(Pair.never, [], timeout: .milliseconds(50)) }
            let answer = try await client.call(Pair.echo, [1])
            #expect(answer == [1], "the connection goes on")
        }
    }

    @Test func `a cancelled call ends at once`() async throws {
        try await Pair.with { client in
            let call = Task { try await client.call(Pair.never, []) }
            call.cancel()
            await #expect(throws: CancellationError.self) { _ = try await call.value }
        }
    }

    @Test func `closing fails what is outstanding`() async throws {
        try await Pair.with { client in
            let call = Task { try await client.call(Pair.never, []) }
            let stream = try client.openStream(Pair.echoStream, [])
            // The echo proves that the call before it has been sent.
            let answer = try await client.call(Pair.echo, [1])
            #expect(answer == [1])
            client.close()
            await #expect(throws: TTRPCError.self) { _ = try await call.value }
            await #expect(throws: TTRPCError.self) { _ = try await stream.receive() }
            #expect(await client.waitUntilClosed() == .closedHere)
        }
    }

    @Test func `a peer that goes away is told to everyone who waits`() async throws {
        let thread = try EventLoopThread(name: "test")
        defer { thread.stop() }
        let pair = try OwnedFD.socketPair()
        let client = try TTRPCClient(adopting: pair.keepFirst(), on: thread)
        #expect(await client.waitUntilClosed() == .closedByPeer)
        await #expect(throws: TTRPCError.closed(.closedByPeer)) { try await client.call(Pair.echo, []) }
    }

    @Test func `a peer that ignores the bound of a stream loses the connection`() async throws {
        try await Pair.with { client in
            let stream = try client.openStream(Pair.flood, [])
            let end = await client.waitUntilClosed()
            guard case .violation(.streamOverrun) = end else {
                Issue.record("the connection ended with \(end)")
                return
            }
            withExtendedLifetime(stream) {}
        }
    }
}

/// A client and a server of the test's own methods on a socket pair.
private enum Pair {
    static let echo = TTRPCMethod(service: "test", name: "Echo")
    static let echoStream = TTRPCMethod(service: "test", name: "EchoStream")
    static let never = TTRPCMethod(service: "test", name: "Never")
    static let flood = TTRPCMethod(service: "test", name: "Flood")

    /// Confined to the loop.
    private final class Server: @unchecked Sendable {
        var connection: TTRPCServerConnection?
    }

    static func with(_ body: (TTRPCClient) async throws -> Void) async throws {
        let thread = try EventLoopThread(name: "test")
        defer { thread.stop() }
        var pair = try OwnedFD.socketPair()
        let client = try TTRPCClient(adopting: pair.first.duplicate(), on: thread)
        let raw = try pair.second.duplicate().relinquish()
        pair = try OwnedFD.socketPair()
        let server = Server()
        try await thread.run { loop in
            server.connection = try TTRPCServerConnection(adopting: OwnedFD(adopting: raw), on: loop) { call in
                switch call.method {
                case echo: call.finish(call.payload)
                case echoStream:
                    call.onMessage = { call.send($0) }
                    call.onInputClosed = { call.finish() }
                case flood: for _ in 0..<64 { call.send([UInt8](repeating: 0, count: 256 << 10)) }
                default: break
                }
            } onClose: { _ in
            }
        }
        do {
            try await body(client)
            client.close()
        } catch {
            client.close()
            throw error
        }
    }
}
