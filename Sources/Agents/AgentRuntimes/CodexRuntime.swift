internal import Primitives
package import Sandboxing
internal import Skills

/// OpenAI's Codex: `codex exec --json`. The program is the user's.
package struct CodexRuntime: AgentRuntime {
    /// `CODEX_HOME`: its configuration, its skills and its sessions. No directory of the host can be mounted here.
    package static let configurationDirectory = "/run/voidbox/codex"
    /// The variable of the agent's process that holds the box's token.
    package static let tokenVariable = "VOIDBOX_MODEL_TOKEN"
    /// The variable with the broker's address, which goes into the configuration.
    package static let baseURLVariable = "OPENAI_BASE_URL"

    package init() {}

    package var usageCoversSession: Bool { true }

    package func makeParser() -> any AgentStreamParser { CodexStreamParser() }

    package func files(for task: AgentTask) -> [AgentFile] {
        let own = Self.configurationDirectory
        return [AgentFile("\(own)/config.toml", Self.configuration(for: task), mode: 0o600)]
            + task.skillFiles(below: "\(own)/skills")
    }

    package func request(for task: AgentTask, turn: AgentTurn) -> ExecRequest {
        var request = request(for: task, ["exec", "--json", "--skip-git-repo-check"])
        if case .resuming(let session) = turn { request.argv += ["resume", session] }
        // The prompt goes through stdin: one argument holds at most 128 KiB.
        request.argv.append("-")
        return request
    }

    package func terminalRequest(for task: AgentTask) -> ExecRequest {
        request(for: task, [])
    }

    private func request(for task: AgentTask, _ mode: [String]) -> ExecRequest {
        var request = ExecRequest([task.program] + mode + ["--dangerously-bypass-approvals-and-sandbox"])
        request.environment = ["HOME": "/home/sandbox", "CODEX_HOME": Self.configurationDirectory]
        return request
    }

    /// `config.toml`: the model by way of the broker, and the MCP servers.
    static func configuration(for task: AgentTask) -> String {
        var lines = task.model.map { ["model = \(TOML.text($0))"] } ?? []
        if let url = task.environment[baseURLVariable] {
            lines += [
                "model_provider = \"voidbox\"", "check_for_update_on_startup = false", "",
                "[model_providers.voidbox]", "name = \"VoidBox\"", "base_url = \(TOML.text(url))",
                "env_key = \"\(tokenVariable)\"", "wire_api = \"responses\"",
            ]
        }
        for server in task.mcpServers {
            lines += ["", "[mcp_servers.\(TOML.text(server.name))]"]
            lines.append("startup_timeout_sec = \(Self.serverStartLimit.components.seconds)")
            switch server.transport {
            case .stdio(let command, let args, let env):
                lines.append("command = \(TOML.text(command))")
                lines.append("args = [\(args.map(TOML.text).joined(separator: ", "))]")
                if !env.isEmpty { lines.append("env = \(TOML.table(env))") }
            case .http(let url, let headers):
                lines.append("url = \(TOML.text(url))")
                if !headers.isEmpty { lines.append("http_headers = \(TOML.table(headers))") }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// The little of [TOML](https://toml.io/en/v1.0.0) that is written here.
enum TOML {
    /// A basic string.
    static func text(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": return "\\\(scalar)"
            case "\n": return "\\n"
            case "\t": return "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: return String(scalar)
            }
        }
        return "\"\(escaped.joined())\""
    }

    /// An inline table of texts.
    static func table(_ members: [String: String]) -> String {
        let entries = members.sorted { $0.key < $1.key }.map { "\(text($0.key)) = \(text($0.value))" }
        return "{ \(entries.joined(separator: ", ")) }"
    }
}
