internal import Primitives

/// The part of a tool's input that tells most about a call.
enum ToolSummary {
    static func text(name: String, input: JSONValue) -> String {
        let key =
            switch name {
            case "Bash", "command_execution": "command"
            case "Read", "Write", "Edit", "NotebookEdit": "file_path"
            case "Glob", "Grep": "pattern"
            case "Task": "description"
            case "WebFetch": "url"
            case "WebSearch": "query"
            default: ""
            }
        let text = input[key]?.stringValue ?? ""
        let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        return line.count > 80 ? "\(line.prefix(79))…" : line
    }
}

/// Errors that mean "the agent has no valid credentials".
enum LoginProblem {
    static func hint(in message: String) -> String? {
        let text = message.lowercased()
        let signs = ["not logged in", "/login", "invalid api key", "authentication_error", "401"]
        guard signs.contains(where: text.contains) else { return nil }
        return "check the model's key on the host: llm.api_key_env, ANTHROPIC_API_KEY or OPENAI_API_KEY"
    }
}
