import Foundation
import LinuxSystem
import TestSupport
import Testing

/// Agents and programs that go on until they are told to stop.
@Suite("Services of voidbox run", .needsBox, .takesBoxSlot, .timeLimit(.minutes(20))) struct ServiceTests {
    private let directory: SpecDirectory

    init() throws {
        directory = try SpecDirectory()
    }

    private func events(_ type: String, of run: String) async throws -> [[String: Any]] {
        try await directory.voidbox("events", run).output.split(separator: "\n")
            .compactMap { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
            .filter { $0["event_type"] as? String == type }
    }

    private func onlyRun() async throws -> String {
        let ids = try await directory.voidbox("ps", "--quiet").output.split(separator: "\n")
        #expect(ids.count == 1)
        return String(try #require(ids.first))
    }

    @Test func `an agent publishes what it writes while it works, and Ctrl-C ends it`() async throws {
        let command = try await directory.start(
            "run",
            "--file",
            Repository.example("service-agent.yaml"),
            "--output",
            "json"
        )
        try await command.waitForError("[vm:heartbeat] version 2 of /workspace/status.json")
        let run = try await onlyRun()
        let published = try await events("run.output_ready", of: run)
        #expect(published.count >= 2)
        let versions = published.compactMap { ($0["payload"] as? [String: Any])?["version"] as? Int }
        #expect(versions == Array(1...published.count))
        let inspected = try await directory.voidbox("inspect", run).json["published"] as? [String: Any]
        #expect((inspected?["text"] as? String)?.contains("\"beat\"") == true, "\(String(describing: inspected))")
        let path = try #require(inspected?["path"] as? String)
        #expect(try String(contentsOfFile: path, encoding: .utf8).hasPrefix("{\"beat\""))

        command.send(Signal.interrupt)
        let result = try await command.end()
        #expect(result.status == 130, "\(result.errors)")
        let report = try result.json
        #expect((report["output"] as? String)?.hasPrefix("{\"beat\"") == true)
        let stage = try #require((report["stage_results"] as? [[String: Any]])?.first)
        #expect(stage["status"] as? String == "cancelled" && (stage["versions"] as? Int ?? 0) >= 2)
        #expect((report["artifacts"] as? [[String: Any]])?.first?["path"] as? String == path)
        #expect(command.boxes.isEmpty)
        try await VoidBoxProcess.expectNoLeaks()
    }

    private func agent(_ variables: String, _ restart: String) throws -> String {
        _ = try directory.write("turns.yaml", "turns: [{text: done}]")
        return try directory.write(
            "agent.yaml",
            """
            kind: agent
            name: service
            sandbox: {memory_mb: 512, env: {\(variables)}}
            llm: {provider: scripted, script: turns.yaml}
            agent:
              {mode: service, prompt: go, skills: ["agent:claudio"], output_file: /workspace/out.txt, restart: \(restart)}
            """,
        )
    }

    @Test func `an agent that crashes is started again as often as the rule says`() async throws {
        let variables = "MOCK_CLAUDE_CRASH: 'exit:9', MOCK_CLAUDE_OUTPUT: '/workspace/out.txt=before the crash'"
        let result = try await directory.voidbox(
            "run",
            "--file",
            try agent(variables, "{max_restarts: 2, initial_delay_ms: 10}"),
            "--output",
            "json"
        )
        #expect(result.status == 1)
        #expect(
            result.errors.contains("service is started again (restart 2) in 20 ms: the agent ended"),
            "\(result.errors)"
        )
        let report = try result.json
        #expect(report["output"] as? String == "before the crash")
        let stage = try #require((report["stage_results"] as? [[String: Any]])?.first)
        #expect(stage["restarts"] as? Int == 2 && stage["versions"] as? Int == 1)
        let run = try #require(report["run_id"] as? String)
        let restarts = try await events("stage.restarting", of: run)
        #expect(restarts.compactMap { ($0["payload"] as? [String: Any])?["restart"] as? Int } == [1, 2])
        #expect(try await events("box.started", of: run).count == 1, "all in one box")
    }

    @Test func `an agent whose box dies goes on in a fresh one`() async throws {
        let file = try agent("MOCK_CLAUDE_DELAY_MS: '600000'", "{initial_delay_ms: 10}")
        let command = try await directory.start("run", "--file", file, "--output", "json")
        try await command.waitForError("[vm:service] ready after")
        let box = try #require(command.boxes.first)
        kill(box, Signal.kill)
        try await command.waitForError("service is started again (restart 1)")
        let run = try await onlyRun()
        try await eventually("there is another box") { command.boxes.contains { $0 != box } }
        try await eventually("it is ready") { try await events("box.started", of: run).count == 2 }
        #expect(try await directory.voidbox("cancel", run, "--reason", "enough").status == 0)
        let result = try await command.end()
        #expect(result.status == 130)
        #expect((try result.json["failure"] as? [String: Any])?["message"] as? String == "cancelled: enough")
        #expect(command.boxes.isEmpty)
    }

    @Test func `a gateway hands a message to the agent and sends its answer`() async throws {
        let place = directory.url.appending(path: "gateway")
        try FileManager.default.copyItem(atPath: Repository.example("gateway"), toPath: place.path)
        let telegram = try await StandIn(token: "42:secret", messages: ["What is six times seven?"])
        try await eventually("Telegram's stand-in listens") { telegram.port != nil }
        let port = try #require(telegram.port)
        let command = try await directory.start(
            "run",
            "--file",
            place.appending(path: "gateway.yaml").path,
            environment: [
                "TELEGRAM_BOT_TOKEN": "42:secret", "TELEGRAM_CHAT_ID": "7, 4711",
                "TELEGRAM_API": "http://10.0.2.2:\(port)",
            ],
        )
        try await command.waitForError("[gateway] answered 4711")
        #expect(telegram.sent.compactMap { $0["text"] as? String } == ["Six times seven is 42."])
        #expect(telegram.sent.first?["chat_id"] as? Int == 4711)
        command.send(Signal.interrupt)
        let result = try await command.end()
        #expect(result.status == 130)
        for line in ["[verify] the bot is stand_in_bot", "[smoke_message] I am here.", "step gateway is ready"] {
            #expect(result.errors.contains(line), "\(result.errors)")
        }
        #expect(!result.errors.contains("42:secret"))
        let kept = try String(contentsOf: place.appending(path: "state/messages.jsonl"), encoding: .utf8)
        #expect(kept.contains("Six times seven is 42."))
        #expect(command.boxes.isEmpty)
    }
}

/// `Tests/Support/Programs/telegram_stand_in.py` at work.
private struct StandIn {
    private let process: TestProcess
    private let output = TemporaryFile()

    init(token: String, messages: [String]) async throws {
        let program = Repository.root.appending(path: "Tests/Support/Programs/telegram_stand_in.py").path
        process = try await TestProcess.start(
            ["/usr/bin/env", "python3", program, token] + messages,
            standardOutput: try output.writingHandle(),
        )
    }

    private var events: [[String: Any]] {
        // A line that is not complete yet is there the next time.
        ((try? output.text) ?? "").split(separator: "\n").compactMap {
            (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
        }
    }

    var port: Int? { events.compactMap { $0["port"] as? Int }.first }
    var sent: [[String: Any]] { events.compactMap { $0["sent"] as? [String: Any] } }
}
