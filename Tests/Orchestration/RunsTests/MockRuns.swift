import Foundation
import Logging
import SandboxMock
import Sandboxing
import Spec
import Synchronization
import Telemetry

@testable import Runs

/// A directory for one test with a specification in it, run in mock boxes. It goes with its owner.
final class MockRuns: Sendable {
    let place = FileManager.default.temporaryDirectory.appending(path: "runs-\(UUID())")
    let control = RunControl()
    private let seen = Mutex<[RunEvent]>([])
    private let stageLimit: (@Sendable (Duration) async throws -> Void)?

    /// - Parameter stageLimit: In place of the time that a stage has.
    init(stageLimit: (@Sendable (Duration) async throws -> Void)? = nil) throws {
        self.stageLimit = stageLimit
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        try Data("turns: [{text: done}]".utf8).write(to: place.appending(path: "turns.yaml"))
    }

    deinit {
        try? FileManager.default.removeItem(at: place)
    }

    var events: [RunEvent] { seen.withLock { $0 } }
    var directories: RunDirectories {
        RunDirectories(work: place.appending(path: "work").path, artifacts: place.appending(path: "artifacts").path)
    }

    func run(
        _ text: String,
        programs: [String: MockProgram] = [:],
        backend: (any SandboxBackend)? = nil,
        input: String? = nil,
        timing: ServiceTiming = ServiceTiming(),
        telemetry: (any TelemetrySink)? = nil,
        watch: @escaping @Sendable (RunEvent) async -> Void = { _ in },
    ) async throws -> RunReport {
        let file = place.appending(path: "s.yaml").path
        try Data(text.utf8).write(to: URL(filePath: file))
        var runner = SpecRunner(
            try Spec.load(file: file),
            file: file,
            environment: [:],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            telemetry: telemetry.map { RunTelemetry(sink: $0, remote: nil, now: { 1 }) },
            makeBackend: { _ in backend ?? MockBackend(programs: programs) },
            observe: { event in
                self.seen.withLock { $0.append(event) }
                await watch(event)
            },
            control: control,
            directories: directories,
        )
        runner.serviceTiming = timing
        runner.serviceTiming.lookInterval = .milliseconds(2)
        if let stageLimit { runner.stageLimit = stageLimit }
        return await runner.run(input: input)
    }
}

/// Something that happens once, and those who wait for it.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// An agent of a mock box that does something and says so, with 7 tokens in and 3 out.
func standIn(
    _ body: @escaping @Sendable (MockProcess, _ prompt: String) async throws -> String
) -> [String: MockProgram] {
    let program = MockProgram { process in
        var prompt: [UInt8] = []
        while let bytes = try await process.read() { prompt += bytes }
        let text = try await body(process, String(decoding: prompt, as: UTF8.self))
        let isError = text.hasPrefix("FAIL")
        let line: [String: Any] = [
            "type": "result", "subtype": isError ? "error" : "success", "is_error": isError, "result": text,
            "usage": ["input_tokens": 7, "output_tokens": 3],
        ]
        try await process.write(Array(try JSONSerialization.data(withJSONObject: line)) + [0x0A])
        return .code(isError ? 1 : 0)
    }
    return ["claudio": program]
}

/// A workflow in a mock box. Its steps are indented by four spaces.
func workflow(_ steps: String, _ more: String = "") -> String {
    "kind: workflow\nname: flow\nsandbox: {mode: mock}\nworkflow:\n  steps:\n\(steps)\n\(more)\n"
}
