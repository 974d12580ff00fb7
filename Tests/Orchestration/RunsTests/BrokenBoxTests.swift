import HTTPSupport
import SandboxMock
import Sandboxing
import Spec
import Synchronization
import Testing

@testable import Runs

/// A box that is of no use.
private final class BrokenBox: OnlyListens {
    enum Fault {
        /// What is asked of it once programs run never comes back.
        case mute
        /// The same from the first file on.
        case muteFromStart
        /// It ends when a program starts.
        case ends
    }

    let identity = SandboxIdentity(name: "box", backend: .mock)
    private let box: any SandboxInstance
    private let fault: Fault
    private let asked: Gate
    private let stopped: Gate

    init(_ box: any SandboxInstance, _ fault: Fault, asked: Gate, stopped: Gate) {
        self.box = box
        self.fault = fault
        self.asked = asked
        self.stopped = stopped
    }

    func health() async throws -> GuestHealth {
        var health = try await box.health()
        health.warnings = ["the clock is wrong"]
        return health
    }

    func exec(_ request: ExecRequest) async throws -> any ExecSession {
        asked.open()
        guard fault != .ends else { throw SandboxError(.machineEnded, resource: "box", "it is gone") }
        return MuteSession()
    }

    func writeFile(_ path: String, options: WriteOptions, produce: () async throws -> [UInt8]?) async throws {
        guard fault == .muteFromStart else { return }
        asked.open()
        try await Task.sleep(for: .seconds(600))
    }

    func stat(_ path: String, followLinks: Bool) async throws -> FileInfo {
        try await box.stat(path, followLinks: followLinks)
    }

    func listen(port: UInt16) async throws -> any TunnelListener { try await box.listen(port: port) }

    func stop(grace: Duration) async {
        await box.stop(grace: grace)
        stopped.open()
    }
}

private struct MuteSession: ExecSession {
    let id = "mute"
    func nextEvent() async throws -> ExecEvent? {
        try await Task.sleep(for: .seconds(600))
        return nil
    }
    func write(_ bytes: [UInt8]) async throws {}
    func closeInput() async throws {}
    func resize(_ size: TerminalSize) async throws {}
    func signal(_ signal: Int32) async throws {}
    func detach() async throws {}
    func close() async {}
}

/// Boots so many broken boxes, and then none.
private final class BrokenBackend: SandboxBackend {
    let name = BackendName.mock
    let asked = Gate()
    let stopped = Gate()
    private let fault: BrokenBox.Fault
    private let good: Int
    private let count = Mutex(0)

    var boots: Int { count.withLock { $0 } }

    init(_ fault: BrokenBox.Fault, good: Int = 1) {
        self.fault = fault
        self.good = good
    }

    func boot(_ configuration: SandboxConfiguration) async throws -> any SandboxInstance {
        let number = count.withLock { count in
            count += 1
            return count
        }
        guard number <= good else { throw SandboxError(.bootFailed, resource: "box", "no answer") }
        return BrokenBox(try await MockBackend().boot(configuration), fault, asked: asked, stopped: stopped)
    }
}

@Suite("Services in boxes that break", .timeLimit(.minutes(10))) struct BrokenBoxTests {
    private static let agent = """
        kind: agent
        name: box
        sandbox: {mode: mock}
        llm: {provider: scripted, script: turns.yaml}
        agent:
          prompt: go
          skills: ["agent:claudio"]
          mode: service
          output_file: /workspace/status.txt
          restart: {max_restarts: 3, initial_delay_ms: 0, max_delay_ms: 0}
        """
    private static let flow = """
        kind: workflow
        name: flow
        sandbox: {mode: mock}
        workflow: {steps: [{name: server, run: {program: server}, mode: service}]}
        """

    private func cancelled(_ text: String, _ fault: BrokenBox.Fault) async throws -> RunReport {
        let runs = try MockRuns()
        let backend = BrokenBackend(fault)
        var timing = ServiceTiming()
        timing.grace = .milliseconds(1)
        timing.killLimit = .milliseconds(1)
        let running = Task { [timing] in try await runs.run(text, backend: backend, timing: timing) }
        await backend.asked.wait()
        running.cancel()
        let report = try await running.value
        await backend.stopped.wait()
        #expect(report.failure?.class == .interrupted && report.stageResults.map(\.status) == [.cancelled], "\(report)")
        return report
    }

    @Test func `a step in a box that does not answer ends with the box`() async throws {
        _ = try await cancelled(Self.flow, .mute)
    }

    @Test func `an agent in a box that does not answer ends with the box`() async throws {
        for fault in [BrokenBox.Fault.mute, .muteFromStart] {
            let report = try await cancelled(Self.agent, fault)
            #expect(report.warnings.contains { $0.contains("ended with its box") }, "\(report)")
        }
    }

    @Test func `a box that does not come back is no new row of restarts`() async throws {
        let runs = try MockRuns()
        let backend = BrokenBackend(.ends)
        var timing = ServiceTiming()
        timing.settled = .zero
        let report = try await runs.run(Self.agent, backend: backend, timing: timing)
        #expect(report.failure?.message == "box: no answer" && backend.boots == 4, "\(report)")
    }

    @Test func `boxes that end at once are replaced only so often, and their warnings are told once`() async throws {
        let runs = try MockRuns()
        let backend = BrokenBackend(.ends, good: 100)
        let report = try await runs.run(Self.agent, backend: backend)
        #expect(report.failure?.message == "box: it is gone" && backend.boots == 4, "\(report)")
        #expect(report.warnings == ["guest: the clock is wrong"])
        let warned = runs.events.filter { if case .warning = $0 { true } else { false } }
        #expect(warned.count == 1)
    }
}
