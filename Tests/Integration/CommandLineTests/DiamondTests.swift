import Foundation
import LinuxSystem
import TestSupport
import Testing

/// A pipeline of four real boxes: source, then left and right at the same time, then sink.
@Suite("A diamond of real boxes", .needsBox, .takesBoxSlot, .timeLimit(.minutes(20))) struct DiamondTests {
    private let directory: SpecDirectory

    init() throws {
        directory = try SpecDirectory()
        _ = try directory.write("turns.yaml", "turns: [{text: done}]")
    }

    /// Variables of an agent that has more to do than any test waits for.
    private let endless = ["MOCK_CLAUDE_TOOLS": "10000"]

    /// - Parameters:
    ///   - left: Variables of the left branch's agent.
    ///   - right: Keys of the right branch's box.
    ///   - variables: Of the right branch's agent.
    private func diamond(
        left: [String: String] = [:],
        right: String = "",
        variables: [String: String] = [:],
        rule: String = "continue",
    ) throws -> String {
        let slow = ["MOCK_CLAUDE_SCENARIO": "multi_tool", "MOCK_CLAUDE_DELAY_MS": "400"]
        func env(_ own: [String: String]) -> String {
            let pairs = slow.merging(own) { $1 }.sorted { $0.key < $1.key }.map { "\($0.key): '\($0.value)'" }
            return "{env: {\(pairs.joined(separator: ", "))}}"
        }
        return try directory.write(
            "diamond.yaml",
            """
            kind: pipeline
            name: diamond
            sandbox: {memory_mb: 512}
            llm: {provider: scripted, script: turns.yaml}
            pipeline:
              on_failure: \(rule)
              boxes:
                - name: source
                  prompt: collect
                  skills: ["agent:claudio"]
                  sandbox: {env: {MOCK_CLAUDE_OUTPUT: "/workspace/output/facts.txt=forty-two"}}
                  outputs: [{name: facts}]
                - name: left
                  prompt: praise
                  skills: ["agent:claudio"]
                  output_file: /workspace/input/facts.txt
                  inputs: [{from: facts}]
                  sandbox: \(env(left))
                - name: right
                  prompt: criticize
                  skills: ["agent:claudio"]
                  sandbox: \(env(variables))
                  \(right)
                - {name: sink, prompt: join, skills: ["agent:claudio"]}
              stages:
                - {type: box, name: source}
                - {type: fan_out, boxes: [left, right]}
                - {type: box, name: sink}
            """,
        )
    }

    private func runID() async throws -> String {
        try await directory.start("ps", "--all", "--quiet").end().output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func stages(_ result: VoidBoxProcess.Result) throws -> [String: [String: Any]] {
        let stages = try #require(try result.json["stage_results"] as? [[String: Any]])
        return Dictionary(uniqueKeysWithValues: stages.map { ($0["name"] as? String ?? "", $0) })
    }

    private func events(of run: String) async throws -> [[String: Any]] {
        let events = try await directory.voidbox("events", run)
        #expect(events.status == 0 && !events.errors.contains("warning"), "\(events.errors)")
        return try events.output.split(separator: "\n").compactMap { line in
            try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        }
    }

    /// No process, no directory, lines of each branch from before its end, and both branches begun before either ended.
    private func expectNothingLeft(_ command: TestProcess, _ result: VoidBoxProcess.Result) async throws {
        #expect(command.boxes.isEmpty)
        try await VoidBoxProcess.expectNoLeaks()
        let run = try await runID()
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: "\(directory.state)/runs/\(run)").sorted() == [
                "control.jsonl", "events.jsonl", "report.json", "run.json",
            ]
        )
        let lines = result.errors.split(separator: "\n").map(String.init)
        for (box, status) in [("left", "succeeded"), ("right", "failed")] {
            let first = lines.firstIndex { $0.hasPrefix("[vm:\(box)] tool: ") } ?? .max
            let end = lines.firstIndex { $0.hasPrefix("[vm:\(box)] \(status)") } ?? 0
            #expect(first < end, "\(box) is watched while it works: \(result.errors)")
        }
        // One box may boot while the other does all its work, so that their lines do not tell.
        let types = try await events(of: run)
            .filter { ["left", "right"].contains($0["stage_name"] as? String ?? "") }
            .compactMap { $0["event_type"] as? String }
        let starts = types.indices.filter { types[$0] == "stage.started" }
        let firstEnd = types.firstIndex { ["stage.completed", "stage.failed"].contains($0) } ?? 0
        #expect(starts.count == 2 && starts.allSatisfy { $0 < firstEnd }, "both at the same time: \(types)")
    }

    @Test func `a branch that fails is told, and the others' results stay`() async throws {
        let variables = ["MOCK_CLAUDE_SCENARIO": "error", "MOCK_CLAUDE_ERROR": "the tests are red"]
        let run = try await directory.start("run", "--file", try diamond(variables: variables), "--output", "json")
        let result = try await run.end()
        #expect(result.status == 1, "\(result.errors)")
        let stages = try stages(result)
        #expect(stages["source"]?["status"] as? String == "succeeded")
        #expect(stages["left"]?["output"] as? String == "forty-two", "the directory of source is its input")
        #expect(stages["right"]?["status"] as? String == "failed")
        #expect(stages["right"]?["error"] as? String == "the tests are red")
        #expect(stages["sink"]?["status"] as? String == "succeeded")
        #expect(
            (try result.json["failure"] as? [String: Any])?["message"] as? String
                == "failed boxes: right (the tests are red)"
        )
        #expect(try result.json["input_tokens"] as? Int == 2000, "what failed has cost, too")
        try await expectNothingLeft(run, result)
    }

    @Test func `a branch that is too slow is stopped at its limit`() async throws {
        // Long enough for a word of its agent on any host, and nothing beside the hours that it would take.
        let file = try diamond(right: "timeout_secs: 30", variables: endless, rule: "stop")
        let run = try await directory.start("run", "--file", file, "--output", "json")
        let result = try await run.end()
        #expect(result.status == 1, "\(result.errors)")
        let stages = try stages(result)
        #expect(stages["left"]?["output"] as? String == "forty-two")
        #expect(stages["right"]?["error"] as? String == "the agent did not finish within 30 s")
        #expect(stages["sink"]?["status"] as? String == "skipped")
        #expect(stages["sink"]?["error"] as? String == "\"right\" failed")
        try await expectNothingLeft(run, result)
    }

    @Test func `a branch that is cancelled by hand ends alone`() async throws {
        let file = try diamond(variables: endless)
        let run = try await directory.start("run", "--file", file, "--output", "json")
        try await run.waitForError("[vm:left] succeeded")
        try await run.waitForError("[vm:right] tool: ")
        let cancel = try await directory.start(
            "cancel",
            try await runID(),
            "--stage",
            "right",
            "--reason",
            "seen enough"
        ).end()
        #expect(cancel.status == 0, "\(cancel.errors)")
        let result = try await run.end()
        #expect(result.status == 1, "\(result.errors)")
        let stages = try stages(result)
        #expect(stages["right"]?["status"] as? String == "cancelled")
        #expect(stages["right"]?["error"] as? String == "seen enough")
        #expect(stages["sink"]?["status"] as? String == "succeeded")
        #expect(run.boxes.isEmpty)
        try await VoidBoxProcess.expectNoLeaks()
    }

    @Test func `of a voidbox that is killed in the middle nothing runs on, and ps tells the truth`() async throws {
        let run = try await directory.start("run", "--file", try diamond(left: endless, variables: endless))
        try await run.waitForError("[vm:left] tool: ")
        try await run.waitForError("[vm:right] tool: ")
        let id = try await runID()
        #expect(try await directory.start("ps", "--quiet").end().output == "\(id)\n")
        #expect(run.boxes.count == 2)
        run.send(Signal.kill)
        _ = try await run.end()
        #expect(try await directory.start("ps", "--quiet").end().output == "")
        #expect(try await directory.start("ps", "--all").end().output.contains(" killed "))
        try await eventually("its boxes are gone") { run.boxes.isEmpty }
        let types = try await events(of: id).map { $0["event_type"] as? String ?? "" }
        #expect(types.first == "run.started" && types.contains("tool.started") && !types.contains("run.finished"))
        try await VoidBoxProcess.expectNoLeaks()
        // Its data goes with the next run, or with its record.
        #expect(FileManager.default.fileExists(atPath: "\(directory.state)/runs/\(id)/work"))
        #expect(try await directory.start("rm", id).end().status == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(directory.state)/runs") == [])
    }

    @Test func `Ctrl-C ends all boxes and leaves a report of what was done`() async throws {
        let run = try await directory.start(
            "run",
            "--file",
            try diamond(variables: endless),
            "--output",
            "json"
        )
        try await run.waitForError("[vm:right] tool: ")
        run.send(Signal.interrupt)
        let result = try await run.end()
        #expect(result.status == 130)
        #expect(try stages(result)["source"]?["status"] as? String == "succeeded")
        #expect(try stages(result)["right"]?["status"] as? String == "cancelled")
        #expect(run.boxes.isEmpty)
        #expect(try await directory.start("ps", "--all").end().output.contains(" cancelled "))
    }
}

/// The examples of pipelines and workflows, as they are.
@Suite("Examples that flow", .needsBox, .takesBoxSlot, .timeLimit(.minutes(20))) struct FlowExampleTests {
    @Test func `a plan is made in one box and carried out in another`() async throws {
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("plan-apply.yaml"),
            "--output",
            "json"
        )
        #expect(result.status == 0, "\(result.errors)")
        let report = try result.json
        #expect(report["output"] as? String == "hello box\n")
        let stages = try #require(report["stage_results"] as? [[String: Any]])
        #expect((stages[0]["output"] as? String)?.contains("1. Write greet.sh") == true)
        #expect(stages.allSatisfy { ($0["input_tokens"] as? Int ?? 0) > 0 })
        #expect(result.errors.contains("[vm:apply] tool: Read  /workspace/input/plan.md"))
    }

    @Test func `the diamond joins what two boxes made of the facts of one`() async throws {
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("diamond.yaml"),
            "--output",
            "json"
        )
        #expect(result.status == 0, "\(result.errors)")
        #expect(try result.json["stages"] as? Int == 4)
    }

    @Test func `a service answers the step that depends on it and is stopped`() async throws {
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("service.yaml"),
            "--output",
            "json"
        )
        #expect(result.status == 0, "\(result.errors)")
        let report = try result.json
        #expect(report["output"] as? String == "it works\n")
        #expect((report["result"] as? [String: Any])?["status"] as? String == "success")
        let artifacts = try #require(report["artifacts"] as? [[String: Any]])
        #expect(artifacts.first?["name"] as? String == "page.txt" && artifacts.first?["size_bytes"] as? Int == 9)
        #expect(result.errors.contains("step server is ready"))
    }
}
