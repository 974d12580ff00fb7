import Foundation
import LinuxSystem
import TestSupport
import Testing

@Suite("voidbox run", .needsBox, .takesBoxSlot, .timeLimit(.minutes(40))) struct RunTests {
    @Test func `the quick start runs Claude Code and reports as JSON`() async throws {
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("quickstart.yaml"),
            "--output",
            "json"
        )
        #expect(result.status == 0, "\(result.errors)")
        let report = try result.json
        #expect(report["name"] as? String == "quickstart")
        #expect(report["kind"] as? String == "agent")
        #expect(report["success"] as? Bool == true)
        #expect(report["stages"] as? Int == 1)
        #expect(report["isolated"] as? Bool == true)
        #expect((report["output"] as? String)?.contains("the code may run free") == true)
        #expect((report["input_tokens"] as? Int ?? 0) > 0)
        #expect((report["output_tokens"] as? Int ?? 0) > 0)
        #expect(report["total_cost_usd"] as? Double == 0)
        #expect(result.errors.contains("[vm:quickstart] tool: Write  /workspace/output.md"))
        #expect(result.errors.contains("[vm:quickstart] tool: Bash  cat /workspace/output.md"))
    }

    @Test(.needsKVM) func `the quick start runs on our own machine monitor`() async throws {
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("quickstart.yaml"),
            "--mode",
            "kvm",
            "--output",
            "json"
        )
        #expect(result.status == 0, "\(result.errors)")
        let report = try result.json
        #expect(report["backend"] as? String == "kvm")
        #expect(report["isolated"] as? Bool == true)
        #expect((report["output"] as? String)?.contains("the code may run free") == true)
    }

    @Test func `the stand-in agent succeeds and its file is the output`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.agent(env: ["MOCK_CLAUDE_OUTPUT": "/workspace/out.txt=written inside"])
        let result = try await VoidBoxProcess.run("run", "--file", file, "--input", "some input", "--output", "json")
        #expect(result.status == 0, "\(result.errors)")
        let report = try result.json
        #expect(report["output"] as? String == "written inside")
        #expect(report["input_tokens"] as? Int == 500)
        #expect(report["output_tokens"] as? Int == 200)
    }

    @Test func `an agent that fails exits 1 and says why`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.agent(env: ["MOCK_CLAUDE_SCENARIO": "error", "MOCK_CLAUDE_ERROR": "the tests are red"])
        let result = try await VoidBoxProcess.run("run", "--file", file)
        #expect(result.status == 1)
        #expect(result.output.contains("success:   false"))
        #expect(result.errors.contains("error: the tests are red"))
    }

    @Test(arguments: [
        (env: ["MOCK_CLAUDE_CRASH": "11"], says: "crashed with signal 11"),
        (["MOCK_CLAUDE_CRASH": "exit:9"], "ended without a result event (exit status 9)"),
        (["MOCK_CLAUDE_CUT": "1"], "ended without a result event (exit status 0)"),
        (["MOCK_CLAUDE_LOGIN_PROBLEM": "1"], "check the model's key on the host"),
    ])
    func `an agent that breaks is one clear error`(_ fault: (env: [String: String], says: String)) async throws {
        let directory = try SpecDirectory()
        let result = try await VoidBoxProcess.run("run", "--file", try directory.agent(env: fault.env))
        #expect(result.status == 1)
        #expect(result.errors.contains(fault.says), "\(result.errors)")
    }

    @Test func `an agent that is too slow is stopped at its limit`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.agent(env: ["MOCK_CLAUDE_DELAY_MS": "600000"], timeout: 2)
        let result = try await VoidBoxProcess.run("run", "--file", file)
        #expect(result.status == 1)
        #expect(result.errors.contains("did not finish within 2 s"), "\(result.errors)")
    }

    @Test(arguments: ["rw", "ro"])
    func `the files of a mounted workspace stay as they are, and the agent has its skill`(_ mode: String) async throws {
        let directory = try SpecDirectory()
        let own = directory.url.appending(path: "project/.claude")
        try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
        _ = try directory.write("project/.claude/settings.json", "mine")
        _ = try directory.write("project/input.json", "mine, too")
        _ = try directory.write("turns.yaml", "turns: [{text: done}]")
        let file = try directory.write(
            "spec.yaml",
            """
            kind: agent
            name: project
            sandbox: {memory_mb: 512, mounts: [{host: project, guest: /workspace, mode: \(mode)}]}
            llm: {provider: scripted, script: turns.yaml}
            agent: {prompt: go, skills: ["agent:claudio", {name: tidy, content: Tidy up.}]}
            """,
        )
        let result = try await VoidBoxProcess.run("run", "--file", file, "--input", "x", "--output", "json")
        #expect(result.status == 0, "\(result.errors)")
        #expect((try result.json["output"] as? String)?.contains("skills [tidy]") == true, "\(result.output)")
        let project = directory.url.appending(path: "project")
        let paths = try FileManager.default.subpathsOfDirectory(atPath: project.path).sorted()
        #expect(paths == [".claude", ".claude/settings.json", "input.json"])
        #expect(try String(contentsOf: own.appending(path: "settings.json"), encoding: .utf8) == "mine")
    }

    @Test(arguments: [
        ("mkdir /workspace/out.txt", "Is a directory"),
        ("ln -s /etc/shadow /workspace/out.txt", "a symbolic link, which is not followed"),
    ])
    func `an agent that leaves no file as its output is told, and what it cost is`(
        _ command: String,
        _ message: String,
    ) async throws {
        let directory = try SpecDirectory()
        let tool = "{name: Bash, input: {command: '\(command)'}}"
        let turns = "turns: [{text: x, tool_use: \(tool)}, {text: done}]"
        let file = try directory.agent("claude-code", turns: turns)
        let result = try await VoidBoxProcess.run("run", "--file", file, "--output", "json")
        #expect(result.status == 1, "\(result.errors)")
        let failure = try result.json["failure"] as? [String: Any]
        let told = failure?["message"] as? String ?? ""
        #expect(told.contains("the output file /workspace/out.txt cannot be read") && told.contains(message), "\(told)")
        #expect((try result.json["input_tokens"] as? Int ?? 0) > 0)
        #expect(!result.output.contains("root:"))
    }

    @Test func `a missing output file is a warning and the last words are the output`() async throws {
        let directory = try SpecDirectory()
        let result = try await VoidBoxProcess.run("run", "--file", try directory.agent(), "--output", "json")
        #expect(result.status == 0)
        let warnings = try result.json["warnings"] as? [String] ?? []
        #expect(warnings.contains { $0.contains("/workspace/out.txt was not written") })
        #expect((try result.json["output"] as? String)?.hasPrefix("claudio:") == true)
    }

    @Test func `a prompt of a million bytes reaches the agent`() async throws {
        let directory = try SpecDirectory()
        let prompt = "begin " + String(repeating: "long ", count: 200_000)
        let result = try await VoidBoxProcess.run("run", "--file", try directory.agent(prompt: prompt))
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("begin long"))
    }

    @Test func `a model endpoint that cannot be reached is named`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.agent(
            "claude-code",
            llm: "{provider: custom, base_url: 'http://127.0.0.1:1'}",
        )
        // Without a word about retries: the agent is told that there is no use in them.
        let command = try await VoidBoxProcess.start(["run", "--file", file])
        try await command.waitForError("warning: model endpoint http://127.0.0.1:1 cannot be reached")
        let result = try await command.end()
        #expect(result.status == 1)
        let error = try #require(result.errors.split(separator: "\n").last { $0.hasPrefix("error: ") })
        #expect(error.components(separatedBy: "cannot be reached").count == 2, "told once: \(error)")
    }

    @Test func `a model that cuts its stream is named`() async throws {
        let directory = try SpecDirectory()
        let cut = "turns: [" + String(repeating: "{text: partial answer, cut_after_bytes: 200}, ", count: 20) + "]"
        let file = try directory.agent(
            "claude-code",
            env: ["CLAUDE_CODE_MAX_RETRIES": "0"],
            turns: cut,
        )
        let result = try await VoidBoxProcess.run("run", "--file", file)
        #expect(result.status == 1)
        #expect(result.errors.contains("cut the stream after"), "\(result.errors)")
    }

    @Test func `a workflow pipes its steps and reports each`() async throws {
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("workflow.yaml"),
            "--output",
            "json"
        )
        #expect(result.status == 0, "\(result.errors)")
        let report = try result.json
        let stages = try #require(report["stage_results"] as? [[String: Any]])
        #expect(stages.compactMap { $0["status"] as? String } == ["succeeded", "succeeded", "succeeded"])
        #expect(report["output"] as? String == "HELLO FROM A BOX\n")
    }

    @Test func `a step that fails skips what needs it and fails the workflow`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.write(
            "workflow.yaml",
            """
            kind: workflow
            name: broken
            workflow:
              steps:
                - {name: fine, run: {program: echo, args: [fine]}}
                - {name: bad, run: {program: sh, args: [-c, "echo why >&2; exit 3"]}}
                - {name: never, run: {program: echo}, depends_on: [bad]}
            """,
        )
        let result = try await VoidBoxProcess.run("run", "--file", file, "--output", "json")
        #expect(result.status == 1)
        let stages = try #require(try result.json["stage_results"] as? [[String: Any]])
        #expect(stages.compactMap { $0["status"] as? String } == ["succeeded", "failed", "skipped"])
        let failure = try #require(try result.json["failure"] as? [String: Any])
        #expect((failure["message"] as? String)?.contains("bad (exit status 3: why)") == true)
    }

    @Test func `a sandbox waits until it is interrupted and is gone then`() async throws {
        let command = try await VoidBoxProcess.start(["run", "--file", Repository.example("sandbox.yaml")])
        try await command.waitForError("press Ctrl-C")
        #expect(command.boxes.count == 1)
        command.send(Signal.interrupt)
        let result = try await command.end()
        #expect(result.status == 130)
        #expect(command.boxes.isEmpty)
    }

    @Test func `Ctrl-C in the middle of an agent stops the box and exits 130`() async throws {
        let directory = try SpecDirectory()
        let command = try await VoidBoxProcess.start([
            "run", "--file", try directory.agent(env: ["MOCK_CLAUDE_DELAY_MS": "600000"]),
        ])
        try await command.waitForError("ready after")
        command.send(Signal.interrupt)
        #expect(try await command.end().status == 130)
        #expect(command.boxes.isEmpty)
    }

    @Test func `a second Ctrl-C does not wait for the box to stop`() async throws {
        let directory = try SpecDirectory()
        _ = try directory.write("turns.yaml", "turns: [{text: done}]")
        let file = try directory.write(
            "patient.yaml",
            """
            kind: pipeline
            name: patient
            sandbox: {memory_mb: 512, env: {MOCK_CLAUDE_DELAY_MS: '600000'}}
            llm: {provider: scripted, script: turns.yaml}
            pipeline:
              cancel_grace_secs: 600
              boxes: [{name: stuck, prompt: wait, skills: ["agent:claudio"]}]
            """,
        )
        let command = try await VoidBoxProcess.start(["run", "--file", file])
        try await command.waitForError("[vm:stuck] ready after")
        let box = try #require(command.boxes.first)
        kill(box, SIGSTOP)  // It cannot answer, so that stopping it takes as long as it may.
        let start = ContinuousClock.now
        command.send(Signal.interrupt)
        command.send(Signal.terminate)
        #expect(try await command.end().status == 130)
        #expect(ContinuousClock.now - start < .seconds(120), "to stop a box that does not answer takes 600 s")
        try await eventually("its box is gone") { command.boxes.isEmpty }
    }

    @Test func `a box with an open model connection stops`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.agent("claude-code", turns: "turns: [{text: slow, delay_ms: 300000}]")
        let command = try await VoidBoxProcess.start(["run", "--file", file])
        try await command.waitForError("agent started")
        let start = ContinuousClock.now
        command.send(Signal.interrupt)
        #expect(try await command.end().status == 130)
        #expect(ContinuousClock.now - start < .seconds(120), "the model takes 300 s")
        #expect(command.boxes.isEmpty)
    }

    @Test func `a voidbox that is killed leaves no box`() async throws {
        let directory = try SpecDirectory()
        let command = try await VoidBoxProcess.start([
            "run", "--file", try directory.agent(env: ["MOCK_CLAUDE_DELAY_MS": "600000"]),
        ])
        try await command.waitForError("ready after")
        #expect(command.boxes.count == 1)
        command.send(Signal.kill)
        #expect(try await command.end().status == 128 + Signal.kill)
        try await eventually("its box is gone", within: .seconds(30)) { command.boxes.isEmpty }
        try await VoidBoxProcess.expectNoLeaks()
    }
}
