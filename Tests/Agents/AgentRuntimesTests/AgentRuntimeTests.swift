import JSONCoding
import Primitives
import Sandboxing
import Skills
import Testing

@testable import AgentRuntimes

@Suite("What agents are launched with") struct AgentRuntimeTests {
    private static let servers = [
        MCPServer(name: "local", transport: .stdio(command: "/bin/s", args: ["a b", "\"q\""], env: ["K": "v\n"])),
        MCPServer(
            name: "relay",
            transport: .http(url: "http://127.0.0.1:9/mcp/relay", headers: ["Authorization": "Bearer t"])
        ),
    ]

    private func task() throws -> AgentTask {
        var task = AgentTask(program: "agent", prompt: "Do it.")
        let script = SkillBundle.File(path: "scripts/run.sh", bytes: [1], isExecutable: true)
        let document = SkillBundle.File(path: "SKILL.md", bytes: Array("---\nname: s\ndescription: d\n---\n".utf8))
        task.skills = [try SkillBundle(directory: "s", files: [document, script])]
        task.mcpServers = Self.servers
        task.model = "m"
        return task
    }

    @Test func `Claude Code finds its skills, its servers and its session`() throws {
        let runtime = ClaudeCodeRuntime()
        let files = runtime.files(for: try task())
        let own = ClaudeCodeRuntime.configurationDirectory
        #expect(files.first { $0.path == "\(own)/skills/s/SKILL.md" }?.mode == 0o644)
        #expect(files.first { $0.path == "\(own)/skills/s/scripts/run.sh" }?.mode == 0o755)
        let configuration = try #require(files.first { $0.path == "\(own)/mcp.json" })
        #expect(configuration.mode == 0o600)
        let servers = try JSONValue(decoding: configuration.bytes)["mcpServers"]
        #expect(servers?["local"]?["type"] == "stdio" && servers?["local"]?["command"] == "/bin/s")
        #expect(servers?["local"]?["args"] == ["a b", "\"q\""] && servers?["local"]?["env"]?["K"] == "v\n")
        #expect(servers?["relay"]?["type"] == "http" && servers?["relay"]?["url"] == "http://127.0.0.1:9/mcp/relay")
        #expect(servers?["relay"]?["headers"]?["Authorization"] == "Bearer t")
        let argv = runtime.request(for: try task(), turn: .resuming(session: "x")).argv
        #expect(argv.suffix(6) == ["--model", "m", "--mcp-config", "\(own)/mcp.json", "--resume", "x"])
    }

    @Test func `without servers there is no configuration of servers`() throws {
        var task = try task()
        task.mcpServers = []
        #expect(!ClaudeCodeRuntime().files(for: task).contains { $0.path.hasSuffix("mcp.json") })
        #expect(!ClaudeCodeRuntime().request(for: task, turn: .first).argv.contains("--mcp-config"))
    }

    @Test func `Codex has its model, servers and skills in its home`() throws {
        var task = try task()
        task.environment = [
            CodexRuntime.baseURLVariable: "http://127.0.0.1:7/v1", CodexRuntime.tokenVariable: "secret",
        ]
        let files = CodexRuntime().files(for: task)
        let own = CodexRuntime.configurationDirectory
        #expect(
            files.map(\.path) == ["\(own)/config.toml", "\(own)/skills/s/SKILL.md", "\(own)/skills/s/scripts/run.sh"]
        )
        #expect(
            String(decoding: files[0].bytes, as: UTF8.self) == #"""
                model = "m"
                model_provider = "voidbox"
                check_for_update_on_startup = false

                [model_providers.voidbox]
                name = "VoidBox"
                base_url = "http://127.0.0.1:7/v1"
                env_key = "VOIDBOX_MODEL_TOKEN"
                wire_api = "responses"

                [mcp_servers."local"]
                startup_timeout_sec = 120
                command = "/bin/s"
                args = ["a b", "\"q\""]
                env = { "K" = "v\n" }

                [mcp_servers."relay"]
                startup_timeout_sec = 120
                url = "http://127.0.0.1:9/mcp/relay"
                http_headers = { "Authorization" = "Bearer t" }

                """#
        )
        let request = CodexRuntime().request(for: task, turn: .first)
        #expect(
            request.argv == [
                "agent", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-",
            ]
        )
        #expect(request.environment["CODEX_HOME"] == own)
        #expect(
            CodexRuntime().request(for: task, turn: .resuming(session: "x")).argv.suffix(3) == ["resume", "x", "-"]
        )
    }

    @Test func `texts of TOML cannot break out`() {
        #expect(TOML.text("a\"]\n\\\u{1}\u{7F}é") == #""a\"]\n\\\u0001\u007fé""#)
    }
}
