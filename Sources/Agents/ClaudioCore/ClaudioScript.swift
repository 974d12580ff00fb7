internal import FoundationEssentials
internal import Primitives

/// What claudio is told to do, by its environment.
///
/// `MOCK_CLAUDE_SCENARIO` simple (default), multi_tool, error, heavy or custom · `MOCK_CLAUDE_TOOLS`, `_TURNS`,
/// `_INPUT_TOKENS` (500), `_OUTPUT_TOKENS` (200), `_COST` (0.003), `_DELAY_MS` (0, before each line), `_MODEL`, `_ERROR`,
/// `_CUSTOM_JSONL` (the whole output) · for faults: `_CRASH` (a signal number, or `exit:N`), `_CUT` (no result line),
/// `_OUTPUT` (`path=content`: a file that it writes), `_LINES` and `_LINE_BYTES` (extra lines), `_LOGIN_PROBLEM`.
package struct ClaudioScript: Sendable {
    package enum Crash: Hashable, Sendable {
        case signal(Int32)
        case exit(Int32)
    }

    package let isError: Bool
    package let tools: Int
    package let turns: Int
    package let inputTokens: Int64
    package let outputTokens: Int64
    package let cost: Double
    package let delayMilliseconds: UInt32
    package let model: String
    package let errorText: String
    package let customLines: String?
    package let crash: Crash?
    package let isCut: Bool
    package let outputFile: (path: String, content: String)?
    package let extraLines: Int
    package let extraLineBytes: Int
    package let traceparent: String?
    private let toolNames: [String]

    package init(environment: [String: String], mcpServers: [String]) {
        func value(_ name: String) -> String? { environment["MOCK_CLAUDE_\(name)"].flatMap { $0.isEmpty ? nil : $0 } }
        func number<Number: LosslessStringConvertible>(_ name: String, _ fallback: Number) -> Number {
            value(name).flatMap { Number($0) } ?? fallback
        }
        let scenario = value("SCENARIO") ?? "simple"
        let (tools, turns) =
            switch scenario {
            case "multi_tool": (5, 3)
            case "error": (2, 2)
            case "heavy": (20, 10)
            case "custom": (3, 2)
            default: (1, 1)
            }
        let hasLoginProblem = value("LOGIN_PROBLEM") != nil
        isError = scenario == "error" || hasLoginProblem
        self.tools = min(number("TOOLS", tools), 100_000)
        self.turns = number("TURNS", turns)
        inputTokens = number("INPUT_TOKENS", 500)
        outputTokens = number("OUTPUT_TOKENS", 200)
        cost = number("COST", 0.003)
        delayMilliseconds = number("DELAY_MS", 0)
        model = value("MODEL") ?? "claude-sonnet-4-20250514"
        errorText =
            hasLoginProblem ? "Invalid API key · Please run /login" : value("ERROR") ?? "claudio was told to fail"
        customLines = value("CUSTOM_JSONL")
        crash = value("CRASH").flatMap { text in
            if text.hasPrefix("exit:") { return Int32(text.dropFirst(5)).map { .exit($0) } }
            return Int32(text).map { .signal($0) }
        }
        isCut = value("CUT") != nil
        outputFile = value("OUTPUT").flatMap { text in
            guard let equals = text.firstIndex(of: "=") else { return nil }
            return (String(text[..<equals]), String(text[text.index(after: equals)...]))
        }
        extraLines = number("LINES", 0)
        extraLineBytes = number("LINE_BYTES", 100)
        traceparent = environment["TRACEPARENT"]
        toolNames = ["Read", "Write", "Bash", "Read", "Write"] + mcpServers.map { "mcp__\($0)" }
    }

    // MARK: Lines

    package func systemLine(skills: [String], mcpServers: [String]) -> String {
        var object: [String: JSONValue] = [
            "type": .string("system"), "subtype": .string("init"), "session_id": .string("claudio-session"),
            "model": .string(model), "skills": .array(skills.map { .string($0) }),
            "mcp_servers": .array(mcpServers.map { .string($0) }),
        ]
        if let traceparent { object["traceparent"] = .string(traceparent) }
        return Self.line(.object(object))
    }

    /// The two lines of one tool call: the agent's and the tool's.
    package func toolLines(_ index: Int) -> [String] {
        let name = toolNames[index % toolNames.count]
        let id = "toolu_\(index + 1)"
        let input: JSONValue =
            switch name {
            case "Bash": .object(["command": .string("echo \(index + 1)")])
            case "Read", "Write": .object(["file_path": .string("/workspace/file\(index + 1).txt")])
            default: .object(["index": .integer(Int64(index + 1))])
            }
        let usage: JSONValue = .object(["input_tokens": .integer(1), "output_tokens": .integer(1)])
        let call: JSONValue = .object([
            "type": .string("assistant"),
            "message": .object([
                "id": .string("msg_\(index + 1)"), "model": .string(model), "role": .string("assistant"),
                "usage": usage,
                "content": .array([
                    .object(["type": .string("tool_use"), "id": .string(id), "name": .string(name), "input": input])
                ]),
            ]),
        ])
        let answer: JSONValue = .object([
            "type": .string("user"),
            "message": .object([
                "role": .string("user"),
                "content": .array([
                    .object([
                        "type": .string("tool_result"), "tool_use_id": .string(id),
                        "content": .string("result of \(name) \(index + 1)"),
                    ])
                ]),
            ]),
        ])
        return [Self.line(call), Self.line(answer)]
    }

    package func extraLine(_ index: Int) -> String {
        let text = String(repeating: "x", count: max(extraLineBytes, 0))
        return Self.line(
            .object([
                "type": .string("assistant"),
                "message": .object([
                    "id": .string("extra_\(index)"), "role": .string("assistant"),
                    "content": .array([.object(["type": .string("text"), "text": .string(text)])]),
                ]),
            ])
        )
    }

    package func resultLine(prompt: String, skills: [String], mcpServers: [String]) -> String {
        let text =
            isError
            ? errorText
            : "claudio: \"\(prompt.prefix(100))\", \(tools) tools, skills [\(skills.joined(separator: ", "))], "
                + "servers [\(mcpServers.joined(separator: ", "))]"
        return Self.line(
            .object([
                "type": .string("result"), "subtype": .string(isError ? "error_during_execution" : "success"),
                "is_error": .bool(isError), "result": .string(text), "session_id": .string("claudio-session"),
                "total_cost_usd": .number(cost), "duration_ms": .integer(1), "duration_api_ms": .integer(1),
                "num_turns": .integer(Int64(turns)),
                "usage": .object(["input_tokens": .integer(inputTokens), "output_tokens": .integer(outputTokens)]),
            ])
        )
    }

    private static func line(_ value: JSONValue) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Encoding a JSON value cannot fail but for a number that JSON does not have, and the cost is the only one.
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? #"{"type":"error"}"#
    }
}

/// What claudio is asked by its arguments, which are Claude Code's.
package struct ClaudioArguments: Hashable, Sendable {
    package enum Command: Hashable, Sendable {
        case run(prompt: String?)
        case version
        case plan, apply
    }

    package let command: Command
    /// The file with MCP servers, beside the project's.
    package let mcpConfiguration: String?

    package init(_ arguments: [String]) {
        var prompt: String?
        var mcpConfiguration: String?
        var rest = arguments.dropFirst()[...]
        var command: Command?
        while let argument = rest.popFirst() {
            switch argument {
            case "--version", "-v": command = .version
            case "plan" where prompt == nil: command = .plan
            case "apply" where prompt == nil: command = .apply
            case "-p", "--print", "--verbose", "--dangerously-skip-permissions": continue
            case "--mcp-config": mcpConfiguration = rest.popFirst()
            case "--output-format", "--settings", "--model", "--max-turns", "--permission-mode", "--resume":
                _ = rest.popFirst()
            default: if !argument.hasPrefix("--") { prompt = argument }
            }
        }
        self.command = command ?? .run(prompt: prompt)
        self.mcpConfiguration = mcpConfiguration
    }
}
