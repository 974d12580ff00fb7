import Foundation
import LinuxSystem
import Logging
import SandboxMock
import Sandboxing
import Spec
import Synchronization
import Testing

@testable import Runs

/// Whole runs in boxes that are none.
@Suite("Runs in mock boxes") struct MockRunTests {
    private struct Outcome {
        let report: RunReport
        let warnings: [String]
    }

    private func run(
        _ text: String,
        programs: [String: MockProgram] = [:],
        environment: [String: String] = [:],
        input: String? = nil,
    ) async throws -> Outcome {
        let place = FileManager.default.temporaryDirectory.appending(path: "runs-\(UUID())")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let file = place.appending(path: "s.yaml").path
        try Data("turns: [{text: done}]".utf8).write(to: place.appending(path: "turns.yaml"))
        try Data("nothing".utf8).write(to: place.appending(path: "a-file"))
        try Data(text.utf8).write(to: URL(filePath: file))
        let warnings = Mutex<[String]>([])
        let runner = SpecRunner(
            try Spec.load(file: file),
            file: file,
            environment: environment,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            makeBackend: { _ in MockBackend(programs: programs) },
            observe: { event in
                if case .warning(_, let text) = event { warnings.withLock { $0.append(text) } }
            },
        )
        let report = await runner.run(input: input)
        return Outcome(report: report, warnings: warnings.withLock { $0 })
    }

    private func agent(_ sandbox: String = "", skills: String = "", llm: String? = nil) -> String {
        """
        kind: agent
        name: x
        sandbox: {mode: mock\(sandbox)}
        llm: \(llm ?? "{provider: scripted, script: turns.yaml}")
        agent: {prompt: go, skills: ["agent:claudio"\(skills)]}
        """
    }

    /// An agent that does something and says what it cost.
    private func stand(_ body: @escaping @Sendable (MockProcess) -> String) -> [String: MockProgram] {
        let program = MockProgram { process in
            while try await process.read() != nil {}
            let text = body(process)
            let line: [String: Any] = [
                "type": "result", "subtype": "success", "is_error": false, "result": text,
                "usage": ["input_tokens": 7, "output_tokens": 3],
            ]
            try await process.write(Array(try JSONSerialization.data(withJSONObject: line)) + [0x0A])
            return .code(0)
        }
        return ["claudio": program]
    }

    @Test(arguments: [
        ("", "/workspace/input.json"), ("{host: out, guest: /workspace, mode: rw}", "/run/voidbox/input.json"),
    ])
    func `what the agent needs is never in a directory of the host`(_ mount: String, _ input: String) async throws {
        let programs = stand { process in
            let own = process.environment["CLAUDE_CONFIG_DIR"] ?? ""
            let here = [
                "\(own)/settings.json", "\(own)/.claude.json", "\(own)/skills/tidy/SKILL.md", input,
            ].filter { process.files.contents(of: $0) == nil }
            let there = ["/workspace/.claude/settings.json", "/workspace/.claude/skills/tidy/SKILL.md"]
                .filter { process.files.contents(of: $0) != nil }
            return "\(own) lacks \(here) has \(there)"
        }
        let spec = agent(", mounts: [\(mount)]", skills: ", {name: tidy, content: text}")
        let outcome = try await run(spec, programs: programs, input: "some input")
        #expect(outcome.report.failure == nil)
        #expect(outcome.report.output == "/run/voidbox/claude lacks [] has []")
    }

    @Test func `an agent that leaves no file at its output's place fails, and its tokens count`() async throws {
        let programs = stand { process in
            process.files.write([1], to: "/workspace/output.json/below")
            return "done"
        }
        let report = try await run(agent(), programs: programs).report
        #expect(!report.success)
        #expect(report.failure?.message == "the output file /workspace/output.json cannot be read: Is a directory")
        #expect(report.inputTokens == 7 && report.outputTokens == 3)
        #expect(report.stageResults.count == 1)
    }

    @Test func `a program that a skill names and the box lacks is told before the agent starts`() async throws {
        let started = Mutex(false)
        let programs = stand { _ in
            started.withLock { $0 = true }
            return ""
        }
        let report = try await run(agent(skills: ", 'cli:terraform'"), programs: programs).report
        #expect(report.failure?.message.hasPrefix("skill cli:terraform: the box has no program terraform") == true)
        #expect(!started.withLock { $0 })
    }

    @Test func `a step that writes more than is kept fails instead of passing on a part`() async throws {
        let spec = """
            kind: workflow
            name: x
            sandbox: {mode: mock}
            workflow:
              steps:
                - {name: big, run: {program: head, args: [-c, "70000000", /dev/zero]}}
                - {name: reads, run: {program: cat, stdin_from: big}}
                - {name: fits, run: {program: head, args: [-c, "67108864", /dev/zero]}}
            """
        let report = try await run(spec).report
        #expect(report.stageResults.map(\.status) == [.failed, .skipped, .succeeded])
        #expect(report.stageResults[0].error?.contains("larger than the 64 MiB") == true)
        #expect(!report.success)
    }

    @Test func `a key that leaves this machine in the clear is told`() async throws {
        let llm = "{provider: custom, base_url: 'http://192.0.2.1', api_key_env: KEY}"
        let outcome = try await run(agent(llm: llm), programs: stand { _ in "ok" }, environment: ["KEY": "k"])
        #expect(outcome.warnings.contains { $0.contains("http://192.0.2.1 over plain http") })
        #expect(outcome.report.warnings.contains { $0.contains("over plain http") })
    }

    @Test(arguments: [
        ("{host: a-file, guest: /data}", "is not a directory"),
        ("{host: gone, guest: /data}", "No such file or directory"),
    ])
    func `a mount of what is no directory is told`(_ mount: String, _ message: String) async throws {
        let report = try await run(
            "kind: agent\nname: x\nsandbox: {mode: mock, mounts: [\(mount)]}\nagent: {prompt: p}\n"
                + "llm: {provider: scripted, script: turns.yaml}\n"
        ).report
        #expect(report.failure?.class == .usage)
        #expect(report.failure?.message.contains(message) == true)
    }

    @Test(.enabled(if: HostFacts.userID == 0, "only root gives files away"))
    func `a directory that is made for results belongs to the box's user`() throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "share-\(UUID())")
        defer { try? FileManager.default.removeItem(at: place) }
        var sandbox = Spec(name: "x").sandbox
        sandbox.mounts = [MountSpec(host: place.appending(path: "new").path, guest: "/out", mode: .rw)]
        _ = try BoxBuilder(environment: [:], file: "/s.yaml")
            .configuration(name: "x", sandbox: sandbox, agent: nil, backend: .mock)
        #expect(try FileSystem.status(of: place.appending(path: "new").path).uid == 1000)
        #expect(try FileSystem.status(of: place.path).uid == 0)
    }
}
