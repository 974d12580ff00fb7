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
