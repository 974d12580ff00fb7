import FoundationEssentials
import GuestAPI
import LinuxSystem
import TTRPC
import Testing

@testable import GuestAgentCore

@Suite("Tunnels", .enabled(if: AgentFixture.mayRun, "the agent starts programs as other users, which only root may do"))
struct TunnelServiceTests {
    private typealias Tunnel = GuestStream<Voidbox_Guest_V1_TunnelFrame, Voidbox_Guest_V1_TunnelFrame>

    private func open(_ agent: AgentFixture, _ id: String) throws -> Tunnel {
        var frame = Voidbox_Guest_V1_TunnelFrame()
        frame.connectionID = id
        return try agent.stream("Tunnel", frame, Voidbox_Guest_V1_TunnelFrame.self)
    }

    @Test func `a connection carries bytes both ways, and each way ends by itself`() async throws {
        try await AgentFixture.with { agent in
            let listener = try agent.stream(
                "Listen",
                Voidbox_Guest_V1_ListenRequest(),
                Voidbox_Guest_V1_AcceptedConnection.self,
            )
            let opened = try #require(try await listener.receive())
            #expect(opened.connectionID.isEmpty)
            let program = try agent.exec([
                "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/\(opened.port); echo hello >&3; cat <&3; echo done",
            ])
            let accepted = try #require(try await listener.receive())
            #expect(accepted.port == opened.port)
            let tunnel = try open(agent, accepted.connectionID)
            var received: [UInt8] = []
            while received.count < 6, let frame = try await tunnel.receive() { received += frame.data }
            #expect(received == Array("hello\n".utf8))
            try tunnel.send { $0.data = Data(Array("world\n".utf8)) }
            try tunnel.send { $0.endOfData = Voidbox_Guest_V1_Empty() }
            var sawEnd = false
            while let frame = try await tunnel.receive() {
                if case .endOfData = frame.kind { sawEnd = true }
            }
            #expect(sawEnd)
            try await program.finish()
            #expect(program.out == "world\ndone\n")
        }
    }

    @Test func `megabytes pass under credit`() async throws {
        try await AgentFixture.with { agent in
            let listener = try agent.stream(
                "Listen",
                Voidbox_Guest_V1_ListenRequest(),
                Voidbox_Guest_V1_AcceptedConnection.self,
            )
            let port = try #require(try await listener.receive()).port
            let program = try agent.exec([
                "bash", "-c",
                "exec 3<>/dev/tcp/127.0.0.1/\(port); head -c 3000000 /dev/zero >&3; head -c 2000000 <&3 | wc -c",
            ])
            let tunnel = try open(agent, try #require(try await listener.receive()).connectionID)
            var received = 0
            while received < 3_000_000, let frame = try await tunnel.receive() {
                received += frame.data.count
                try tunnel.send { $0.credit = UInt32(frame.data.count) }
            }
            #expect(received == 3_000_000)
            var credit = 256 << 10
            var rest = 2_000_000
            while rest > 0 {
                let count = min(rest, credit, 65536)
                if count == 0 {
                    if case .credit(let more) = try await tunnel.receive()?.kind { credit += Int(more) }
                    continue
                }
                try tunnel.send { $0.data = Data(repeating: 1, count: count) }
                credit -= count
                rest -= count
            }
            try await program.finish()
            #expect(program.out == "2000000\n")
        }
    }

    @Test func `a connection that does not wait cannot be taken`() async throws {
        try await AgentFixture.with { agent in
            let status = await agent.status { _ = try await open(agent, "c77").receive() }
            #expect(status?.code == .notFound)
        }
    }

    @Test(.timeLimit(.minutes(10))) func `closing the listener closes the port`() async throws {
        try await AgentFixture.with { agent in
            let listener = try agent.stream(
                "Listen",
                Voidbox_Guest_V1_ListenRequest(),
                Voidbox_Guest_V1_AcceptedConnection.self,
            )
            let port = try #require(try await listener.receive()).port
            var request = Voidbox_Guest_V1_ListenRequest()
            request.port = port
            let second = try agent.stream("Listen", request, Voidbox_Guest_V1_AcceptedConnection.self)
            let status = await agent.status { _ = try await second.receive() }
            #expect(status?.code == .alreadyExists)
            listener.stream.closeSending()
            #expect(try await listener.receive() == nil)
            // A child that another test's agent is just starting in this process holds every descriptor until it executes.
            var reopened: UInt32?
            while reopened == nil {
                let third = try agent.stream("Listen", request, Voidbox_Guest_V1_AcceptedConnection.self)
                _ = await agent.status { reopened = try await third.receive()?.port }
            }
            #expect(reopened == port)
        }
    }
}
