import Foundation
import Glibc
import LinuxSystem
import Primitives
import SandboxKVM
import Sandboxing
import TestSupport
import Testing

/// A box beside a machine whose guest kicks all of its devices without end.
@Suite("Neighbour of a hostile guest", .needsKVM, .takesBoxSlot, .timeLimit(.minutes(10)))
struct NeighbourTests {
    /// With and without the storm in turns, so that what else the host does strikes both.
    private static let rounds = 10
    private static let samplesPerRound = 10
    /// Twice what it was; or an absolute time, for a host whose own noise is more than that.
    private static let floor = Duration.milliseconds(250)

    @Test func `its programs start as fast as before, up to twice the time`() async throws {
        let environment = ProcessInfo.processInfo.environment
        let boot = try AssetLocator(environment: environment)
            .bootArtifacts(kernel: nil, initramfs: nil, isReadable: HostFacts.mayRead)
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
            #expect(Self.p99(beside) < max(Self.p99(alone) * 2, Self.floor))
        } catch {
            await box.stop(grace: .zero)
            throw error
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
