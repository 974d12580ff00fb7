import Foundation
import LinuxSystem
import TestSupport
import Testing

/// A collector made of OpenTelemetry's own messages.
private final class Collector: Sendable {
    private let directory: SpecDirectory
    private let process: TestProcess

    /// - Parameter span: It is killed by the first traces with a span of that name.
    init(diesOf span: String? = nil) async throws {
        directory = try SpecDirectory()
        let script = Repository.root.appending(path: "Tests/Support/python/collector.py").path
        let port = directory.url.appending(path: "port").path
        process = try await TestProcess.start(
            ["/usr/bin/env", "python3", script, port, directory.url.appending(path: "received").path]
                + (span.map { [$0] } ?? []),
            environment: ProcessInfo.processInfo.environment.merging(
                ["PYTHONPATH": try await PythonPackages.directory("otlp")]
            ) { $1 },
        )
        try await eventually("the collector listens") { FileManager.default.fileExists(atPath: port) }
    }

    /// How it ended by itself.
    func end() async throws -> TestProcess.Result {
        try await process.end(within: .seconds(120))
    }

    var endpoint: String {
        get throws {
            let port = try String(contentsOf: directory.url.appending(path: "port"), encoding: .utf8)
            return "http://127.0.0.1:\(port)"
        }
    }

    /// What arrived at a path.
    func received(_ path: String) throws -> [[String: Any]] {
        let file = directory.url.appending(path: "received")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        return try lines.flatMap { line -> [[String: Any]] in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return object?["path"] as? String == path ? object?["message"] as? [[String: Any]] ?? [] : []
        }
    }
}

@Suite("Telemetry", .needsPython("otlp"), .timeLimit(.minutes(20))) struct TelemetryTests {
    private static let workflow = """
        kind: workflow
        name: traced
        sandbox: {mode: mock}
        observe: {service_name: tests}
        workflow:
          steps:
            - {name: one, run: {program: echo, args: [hello]}}
            - {name: two, run: {program: tr, args: [a-z, A-Z]}, depends_on: [one]}
            - {name: three, run: {program: "false"}}
        """

    /// The names from a span up to the first of its trace.
    private func ancestry(_ span: [String: Any], _ spans: [[String: Any]]) -> [String] {
        var names: [String] = []
        var next: [String: Any]? = span
        while let current = next, names.count < 20 {
            names.append(current["name"] as? String ?? "?")
            next = spans.first { $0["id"] as? String == current["parent"] as? String }
        }
        return names
    }

    @Test func `a run is one trace whose tree is that of the run`() async throws {
        let collector = try await Collector()
        let directory = try SpecDirectory()
        let remote = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            try directory.write("w.yaml", Self.workflow),
            environment: ["VOIDBOX_OTLP_ENDPOINT": try collector.endpoint, "TRACEPARENT": remote],
        )
        #expect(result.status == 1, "\(result.errors)")
        let spans = try collector.received("/v1/traces")
        #expect(Set(spans.compactMap { $0["trace"] as? String }) == ["4bf92f3577b34da6a3ce929d0e0e4736"])
        #expect(Set(spans.compactMap { $0["service"] as? String }) == ["tests"])
        #expect(
            Set(spans.map { ancestry($0, spans).reversed().joined(separator: " > ") }) == [
                "run traced", "run traced > box traced", "run traced > box traced > boot",
                "run traced > box traced > step one", "run traced > box traced > step one > exec echo",
                "run traced > box traced > step two", "run traced > box traced > step two > exec tr",
                "run traced > box traced > step three", "run traced > box traced > step three > exec false",
            ]
        )
        let run = try #require(spans.first { $0["name"] as? String == "run traced" })
        #expect(run["parent"] as? String == "00f067aa0ba902b7" && run["status"] as? Int == 2)
        let metrics = Set(try collector.received("/v1/metrics").compactMap { $0["name"] as? String })
        #expect(metrics.isSuperset(of: ["voidbox.run.duration", "voidbox.boot.duration", "voidbox.exec.duration"]))
    }

    @Test(.needsBox, .takesBoxSlot)
    func `an agent in a box is traced with the conventions, and knows its trace`() async throws {
        let collector = try await Collector()
        let directory = try SpecDirectory()
        let turns = """
            turns:
              - {text: let me look, tool_use: {name: Bash, input: {command: "echo trace $TRACEPARENT"}}}
              - {expect: {last_tool_result_contains: trace 00-}, text: done, usage: {input_tokens: 70, output_tokens: 7}}
            """
        let file = try directory.agent("claude-code", turns: turns)
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            file,
            environment: ["OTEL_EXPORTER_OTLP_ENDPOINT": try collector.endpoint],
        )
        #expect(result.status == 0, "\(result.errors)")
        let spans = try collector.received("/v1/traces")
        let tool = try #require(spans.first { $0["name"] as? String == "execute_tool Bash" })
        #expect(ancestry(tool, spans) == ["execute_tool Bash", "invoke_agent claude-code", "box test", "run test"])
        let called = try #require(tool["attributes"] as? [String: Any])
        #expect(called["gen_ai.operation.name"] as? String == "execute_tool")
        #expect(called["gen_ai.tool.name"] as? String == "Bash")
        #expect((called["gen_ai.tool.call.id"] as? String)?.isEmpty == false)
        let output = called["gen_ai.tool.call.result"] as? String ?? ""
        let agent = try #require(spans.first { $0["name"] as? String == "invoke_agent claude-code" })
        let trace = try #require(agent["trace"] as? String)
        #expect(output.contains("trace 00-\(trace)-\(agent["id"] as? String ?? "?")-01"), "\(output)")
        #expect((tool["nanoseconds"] as? Int ?? 0) > 0)
        let attributes = try #require(agent["attributes"] as? [String: Any])
        #expect(attributes["gen_ai.operation.name"] as? String == "invoke_agent")
        #expect(attributes["gen_ai.provider.name"] as? String == "scripted")
        #expect(attributes["gen_ai.agent.name"] as? String == "claude-code")
        #expect(attributes["gen_ai.usage.output_tokens"] as? Int ?? 0 > 0)
        #expect((attributes["gen_ai.conversation.id"] as? String)?.isEmpty == false)
        let logs = try collector.received("/v1/logs")
        #expect(logs.contains { $0["body"] as? String == "[vm:test] let me look" && $0["trace"] as? String == trace })
        let metrics = Set(try collector.received("/v1/metrics").compactMap { $0["name"] as? String })
        #expect(
            metrics.isSuperset(of: ["gen_ai.client.token.usage", "voidbox.guest.memory.usage", "voidbox.tool.calls"])
        )
    }

    @Test func `boxes of a pipeline are in its stages`() async throws {
        let collector = try await Collector()
        let directory = try SpecDirectory()
        _ = try directory.write("turns.yaml", "turns: [{text: done}]")
        let text = """
            kind: pipeline
            name: traced
            sandbox: {mode: mock}
            llm: {provider: scripted, script: turns.yaml}
            pipeline:
              boxes:
                - {name: first, prompt: begin, skills: ["agent:claudio"]}
                - {name: left, prompt: go on, skills: ["agent:claudio"]}
                - {name: right, prompt: go on, skills: ["agent:claudio"]}
              stages: [{type: box, name: first}, {type: fan_out, boxes: [left, right]}]
            """
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            try directory.write("p.yaml", text),
            environment: ["VOIDBOX_OTLP_ENDPOINT": try collector.endpoint],
        )
        #expect(result.status == 0, "\(result.errors)")
        let spans = try collector.received("/v1/traces")
        #expect(Set(spans.compactMap { $0["trace"] as? String }).count == 1)
        let boxes = ["stage 1 > box first", "stage 2 > box left", "stage 2 > box right"].flatMap { box in
            ["", " > boot", " > invoke_agent claudio"].map { "run traced > \(box)\($0)" }
        }
        #expect(
            spans.map { ancestry($0, spans).reversed().joined(separator: " > ") }.sorted()
                == (["run traced", "run traced > stage 1", "run traced > stage 2"] + boxes).sorted()
        )
    }

    @Test func `a collector that is killed in the middle changes nothing in the run`() async throws {
        let collector = try await Collector(diesOf: "step one")
        let directory = try SpecDirectory()
        // Much longer than what is sent waits for more, also on a host on which that is much longer than it should be.
        let text = """
            kind: workflow
            name: traced
            sandbox: {mode: mock}
            workflow:
              steps:
                - {name: one, run: {program: echo, args: [hello]}}
                - {name: wait, run: {program: sleep, args: ["20"]}, depends_on: [one]}
                - {name: two, run: {program: echo, args: [end]}, depends_on: [wait]}
            """
        let file = try directory.write("w.yaml", text)
        async let untraced = VoidBoxProcess.run("run", "--file", file, "--output", "json")
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            file,
            "--output",
            "json",
            environment: ["VOIDBOX_OTLP_ENDPOINT": try collector.endpoint],
        )
        #expect(result.status == 0, "\(result.errors)")
        let died = try await collector.end()
        #expect(died.status == 128 + Signal.kill)
        let spans = try collector.received("/v1/traces")
        #expect(spans.contains { $0["name"] as? String == "step one" })
        #expect(!spans.contains { $0["name"] as? String == "step two" }, "it was killed before the end of the run")
        #expect(try Self.withoutTimes(result.json) == Self.withoutTimes(try await untraced.json))
        #expect(try result.json["output"] as? String == "end\n")
        #expect(result.errors.contains("telemetry"), "what is lost is told: \(result.errors)")
    }

    /// A report as text, without what differs from run to run.
    private static func withoutTimes(_ value: Any) throws -> String {
        func cleaned(_ value: Any) -> Any {
            if let list = value as? [Any] { return list.map(cleaned) }
            guard let map = value as? [String: Any] else { return value }
            return map.filter { !["run_id", "duration_ms"].contains($0.key) }.mapValues(cleaned)
        }
        let data = try JSONSerialization.data(withJSONObject: cleaned(value), options: .sortedKeys)
        return String(decoding: data, as: UTF8.self)
    }
}
