internal import JSONCoding
internal import Primitives
package import Sandboxing
internal import Skills

/// Claude Code, or a program with its interface.
package struct ClaudeCodeRuntime: AgentRuntime {
    /// The agent's own directory: its settings and skills, and what it keeps for itself. No directory of the host can be
    /// mounted here, so nothing of the user's is written over, and it is there when the workspace is read-only.
    package static let configurationDirectory = "/run/voidbox/claude"
    private static let mcpFile = "\(configurationDirectory)/mcp.json"
    private static let settings = #"{"skipDangerousModePermissionPrompt":true,"skipWebFetchPreflight":true}"#
    /// The box is there to be trusted with the workspace.
    private static let state =
        #"{"hasCompletedOnboarding":true,"bypassPermissionsModeAccepted":true,"#
        + #""projects":{"/workspace":{"hasTrustDialogAccepted":true}}}"#

    package init() {}

    package var usageCoversSession: Bool { false }

    package func makeParser() -> any AgentStreamParser { ClaudeStreamParser() }

    package func files(for task: AgentTask) -> [AgentFile] {
        let own = Self.configurationDirectory
        // Without these the first start asks questions that nobody answers.
        var files = [
            AgentFile("\(own)/.claude.json", Self.state),
            AgentFile("\(own)/settings.json", Self.settings),
        ]
        files += task.skillFiles(below: "\(own)/skills")
        if !task.mcpServers.isEmpty {
            // With tokens of servers in it.
            files.append(AgentFile(Self.mcpFile, Self.mcpConfiguration(task.mcpServers).encoded, mode: 0o600))
        }
        return files
    }

    package var boxEnvironment: [String: String] {
        // Milliseconds; without it, Claude Code goes on after 30 s without the server's tools.
        ["MCP_TIMEOUT": String(Self.serverStartLimit.components.seconds * 1000)]
    }

    package func request(for task: AgentTask, turn: AgentTurn) -> ExecRequest {
        // The prompt goes through stdin: one argument holds at most 128 KiB.
        var request = request(for: task, ["-p", "--output-format", "stream-json", "--verbose"])
        if case .resuming(let session) = turn { request.argv += ["--resume", session] }
        return request
    }

    package func terminalRequest(for task: AgentTask) -> ExecRequest {
        request(for: task, [])
    }

    private func request(for task: AgentTask, _ mode: [String]) -> ExecRequest {
        var request = ExecRequest(
            [task.program] + mode + ["--dangerously-skip-permissions", "--settings", Self.settings]
        )
        if let model = task.model { request.argv += ["--model", model] }
        if !task.mcpServers.isEmpty { request.argv += ["--mcp-config", Self.mcpFile] }
        request.environment = [
            "HOME": "/home/sandbox",
            "CLAUDE_CONFIG_DIR": Self.configurationDirectory,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        ]
        return request
    }

    /// The format of `--mcp-config` and `.mcp.json`.
    static func mcpConfiguration(_ servers: [MCPServer]) -> JSONValue {
        func object(_ texts: [String: String]) -> JSONValue { .object(texts.mapValues { .string($0) }) }
        let entries = servers.map { server in
            let entry: JSONValue =
                switch server.transport {
                case .stdio(let command, let args, let env):
                    .object([
                        "type": "stdio", "command": .string(command), "args": .array(args.map { .string($0) }),
                        "env": object(env),
                    ])
                case .http(let url, let headers):
                    .object(["type": "http", "url": .string(url), "headers": object(headers)])
                }
            return (server.name, entry)
        }
        return .object(["mcpServers": .object(Dictionary(entries) { first, _ in first })])
    }
}
