import GuestAPI
import LinuxSystem
import TTRPC
import Testing

@testable import GuestAgentCore

@Suite("Guest agent") struct GuestAgentTests {
    @Test func `health tells what the machine is`() async throws {
        try await AgentFixture.with { agent in
            let health = try await agent.call(
                "Health",
                Voidbox_Guest_V1_HealthRequest(),
                Voidbox_Guest_V1_HealthResponse.self,
            )
            #expect(health.agentVersion == GuestAgent.version)
            #expect(health.processors >= 1)
            #expect(health.memoryTotalBytes > 1 << 20)
            #expect(health.residentBytes > 1 << 20)
            #expect(health.uptimeNanos > 0)
        }
    }

    @Test func `samples come at their interval and name processes when asked`() async throws {
        try await AgentFixture.with { agent in
            var request = Voidbox_Guest_V1_TelemetryRequest()
            request.processes = true
            let stream = try agent.stream("Telemetry", request, Voidbox_Guest_V1_TelemetrySample.self)
            for _ in 0..<2 {
                let sample = try #require(try await stream.receive())
                #expect(0...100 ~= sample.cpuPercent)
                #expect(sample.memoryTotalBytes > sample.memoryUsedBytes)
                #expect(sample.processCount > 0)
                #expect(sample.processes.contains { $0.residentBytes > 0 })
            }
        }
    }

    @Test func `an unknown method is unimplemented, and an unreadable message is invalid`() async throws {
        try await AgentFixture.with { agent in
            var status = await agent.status { _ = try await agent.call("Fly", Voidbox_Guest_V1_Empty()) }
            #expect(status?.code == .unimplemented)
            let method = TTRPCMethod(service: AgentFixture.service, name: "Stat")
            status = await agent.status { _ = try await agent.client.call(method, [0xff, 0xff, 0xff]) }
            #expect(status?.code == .invalidArgument)
        }
    }

    @Test func `off a machine of its own the agent neither sets the clock nor resets anything`() async throws {
        try await AgentFixture.with { agent in
            var status = await agent.status { _ = try await agent.call("Shutdown", Voidbox_Guest_V1_Empty()) }
            #expect(status?.code == .failedPrecondition)
            var request = Voidbox_Guest_V1_SetClockRequest()
            request.unixNanos = 1
            status = await agent.status { _ = try await agent.call("SetClock", request) }
            #expect(status?.code == .failedPrecondition)
        }
    }
}
