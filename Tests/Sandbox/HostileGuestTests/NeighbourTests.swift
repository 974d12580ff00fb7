import Foundation
import Glibc
import LinuxSystem
import Primitives
import SandboxKVM
import Sandboxing
import TestSupport
import Testing

/// A box beside a machine whose guest kicks all of its devices without end.
@Suite("Neighbour of a hostile guest", .needsKVM, .takesBoxSlot, .timeLimit(.minutes(40)))
struct NeighbourTests {
    /// With and without the storm in turns, so that what else the host does strikes both.
    private static let rounds = 10
    private static let samplesPerRound = 10
    /// Twice what it was. An emulated host, where a program takes 50 ms and more to start, has as many processors as the storm
    /// needs and work of its own beside: there the figure says little, and is only bounded.
    private static func limit(alone: [Duration]) -> Duration {
        let isEmulated = alone[alone.count / 2] > .milliseconds(20)
        return isEmulated ? max(p99(alone) * 4, .seconds(1)) : max(p99(alone) * 2, .milliseconds(20))
    }

    @Test func `its programs start in at most twice the time`() async throws {
        let environment = ProcessInfo.processInfo.environment
        let boot = try AssetLocator(environment: environment).bootArtifacts()
        var configuration = SandboxConfiguration(name: "neighbour", boot: boot)
        configuration.memory = .mebibytes(512)
        let box = try await KVMBackend(environment: environment).boot(configuration)
        do {
            // What is loaded and cached the first times does not count.
            _ = try await Self.latencies(box)
            var alone: [Duration] = []
            var beside: [Duration] = []
            try await HostileGuest.with("hostile.case=53") { guest in
                let lines = await guest.lines(to: "STORM")
                #expect(lines.last == "STORM", "\(lines)")
                for _ in 0..<Self.rounds {
                    beside += try await Self.latencies(box)
                    try guest.process.signal(SIGSTOP)
                    alone += try await Self.latencies(box)
                    try guest.process.signal(SIGCONT)
                }
            }
            alone.sort()
            beside.sort()
            print("exec beside a storm: alone \(Self.figures(alone)), beside \(Self.figures(beside))")
            #expect(Self.p99(beside) < Self.limit(alone: alone))
        } catch {
            let explained = await box.explained(error)
            await box.stop(grace: .zero)
            throw explained
        }
        await box.stop(grace: .seconds(2))
    }

    private static func latencies(_ box: any SandboxInstance) async throws -> [Duration] {
        var result: [Duration] = []
        for _ in 0..<samplesPerRound {
            let start = ContinuousClock.now
            let exit = try await box.run(ExecRequest(["true"])).exit.status
            result.append(.now - start)
            #expect(exit == .code(0))
        }
        return result
    }

    private static func p99(_ sorted: [Duration]) -> Duration { sorted[sorted.count * 99 / 100 - 1] }

    private static func figures(_ sorted: [Duration]) -> String {
        "p50 \(sorted[sorted.count / 2]), p99 \(p99(sorted)), max \(sorted[sorted.count - 1])"
    }
}
