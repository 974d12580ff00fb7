import SandboxMock
import Sandboxing
import Synchronization
import Telemetry
import Testing

@testable import Runs

/// Remembers the spans that ended.
private final class SpanRecorder: TelemetrySink {
    private let kept = Mutex<[SpanRecord]>([])

    func take(_ span: SpanRecord) { kept.withLock { $0.append(span) } }
    func take(_ log: LogRecord) {}
    func take(_ value: Double, of metric: Metric, _ attributes: Attributes) {}

    /// Names from the root on, with what went wrong; once for each span.
    var paths: [String] {
        let spans = kept.withLock { $0 }
        let byID = Dictionary(spans.map { ($0.context.spanID, $0) }) { first, _ in first }
        return spans.map { span in
            var names: [String] = []
            var next: SpanRecord? = span
            while let current = next {
                names.append(current.name)
                next = current.parentSpanID.flatMap { byID[$0] }
            }
            var path = names.reversed().joined(separator: " > ")
            if case .failed(let why) = span.status { path += " (\(why))" }
            return path
        }.sorted()
    }
}

/// Its first box does not start.
private final class ReluctantBackend: SandboxBackend {
    let name = BackendName.mock
    private let backend: MockBackend
    private let boots = Atomic(0)

    init(_ programs: [String: MockProgram]) {
        backend = MockBackend(programs: programs)
    }

    func boot(_ configuration: SandboxConfiguration) async throws -> any SandboxInstance {
        guard boots.wrappingAdd(1, ordering: .relaxed).newValue > 1 else {
            throw SandboxError(.bootFailed, resource: "box", "no answer")
        }
        return try await backend.boot(configuration)
    }
}

@Suite("Telemetry of runs in mock boxes", .timeLimit(.minutes(10))) struct RunTelemetryTests {
    @Test func `a pipeline's boxes are in their stages, and each attempt is a box`() async throws {
        let recorder = SpanRecorder()
        let tries = Atomic(0)
        let programs = standIn { _, prompt in
            guard prompt.hasPrefix("left") else { return "done" }
            return tries.wrappingAdd(1, ordering: .relaxed).newValue == 1 ? "FAIL not yet" : "done"
        }
        let text = """
            kind: pipeline
            name: fan
            sandbox: {mode: mock}
            llm: {provider: scripted, script: turns.yaml}
            pipeline:
              boxes:
                - {name: first, prompt: first, skills: ["agent:claudio"]}
                - {name: left, prompt: left, skills: ["agent:claudio"], retry: {max_attempts: 2, initial_delay_ms: 0}}
                - {name: right, prompt: right, skills: ["agent:claudio"]}
              stages:
                - {type: box, name: first}
                - {type: fan_out, boxes: [left, right]}
            """
        let report = try await MockRuns().run(text, programs: programs, telemetry: recorder)
        #expect(report.success)
        func box(_ stage: Int, _ name: String, _ agent: String = "") -> [String] {
            let path = "run fan > stage \(stage) > box \(name)"
            return [path, "\(path) > boot", "\(path) > invoke_agent claudio\(agent)"]
        }
        let failed = box(2, "left", " (FAIL not yet)")
        let boxes = box(1, "first") + failed + box(2, "left") + box(2, "right")
        #expect(recorder.paths == (["run fan", "run fan > stage 1", "run fan > stage 2"] + boxes).sorted())
    }

    @Test func `a box that did not boot is a span, too, and a stage of one box is a stage`() async throws {
        let recorder = SpanRecorder()
        let text = """
            kind: pipeline
            name: line
            sandbox: {mode: mock}
            llm: {provider: scripted, script: turns.yaml}
            pipeline:
              retry: {max_attempts: 2, initial_delay_ms: 0}
              boxes: [{name: only, prompt: go, skills: ["agent:claudio"]}]
            """
        let backend = ReluctantBackend(standIn { _, _ in "done" })
        let report = try await MockRuns().run(text, backend: backend, telemetry: recorder)
        #expect(report.success)
        let box = "run line > stage 1 > box only"
        let why = "(box: no answer)"
        #expect(
            recorder.paths
                == [
                    "run line", "run line > stage 1", box, "\(box) \(why)", "\(box) > boot", "\(box) > boot \(why)",
                    "\(box) > invoke_agent claudio",
                ].sorted()
        )
    }

    @Test func `each attempt of a step is a span`() async throws {
        let recorder = SpanRecorder()
        let text = """
            kind: workflow
            name: flow
            sandbox: {mode: mock}
            workflow:
              steps:
                - {name: never, run: {program: "false"}, retry: {max_attempts: 2, initial_delay_ms: 0}}
                - {name: skipped, run: {program: "true"}, depends_on: [never]}
            """
        let report = try await MockRuns().run(text, telemetry: recorder)
        #expect(!report.success)
        let step = "run flow > box flow > step never"
        let attempt = ["\(step) (exit status 1)", "\(step) > exec false (exit status 1)"]
        #expect(
            recorder.paths
                == ([
                    "run flow (failed steps: never (exit status 1))", "run flow > box flow",
                    "run flow > box flow > boot",
                ] + attempt + attempt).sorted()
        )
    }
}
