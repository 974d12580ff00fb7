internal import JSONCoding
package import Primitives

/// Reads what `codex exec --json` writes: one event a line, which begins, changes or completes an item of the thread.
package struct CodexStreamParser: AgentStreamParser {
    static let maxLineBytes = ClaudeStreamParser.maxLineBytes
    static let maxOutputCharacters = ClaudeStreamParser.maxOutputCharacters
    static let maxToolCalls = ClaudeStreamParser.maxToolCalls
    /// Calls that are under way at a time; others are told only when they complete.
    private static let maxOpenItems = 1000

    private var splitter = LineSplitter(limit: Self.maxLineBytes)
    /// Items that have begun, with their place among the calls that are kept.
    private var open: [String: Int?] = [:]
    private var lastError: String?
    package private(set) var isComplete = false
    package private(set) var unreadableLines = 0
    package private(set) var result = AgentResult()

    package init() {}

    package mutating func feed(_ bytes: [UInt8]) throws(LineSplitter.TooLong) -> [AgentEvent] {
        try splitter.feed(bytes).flatMap { read($0) }
    }

    package mutating func finish() -> [AgentEvent] {
        let events = splitter.finish().map { read($0) } ?? []
        // An error that no turn survived.
        if !isComplete, result.failure == nil, let lastError { fail(lastError) }
        return events
    }

    private mutating func read(_ line: [UInt8]) -> [AgentEvent] {
        if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { return [] }
        guard let event = try? JSONValue(decoding: line), let type = event["type"]?.stringValue else {
            unreadableLines += 1
            let text = String(decoding: line.prefix(200), as: UTF8.self)
            return [.warning("a line of the agent's output is not JSON: \(text)")]
        }
        switch type {
        case "thread.started":
            result.sessionID = event["thread_id"]?.stringValue ?? result.sessionID
            return [.started(session: result.sessionID, model: result.model)]
        case "item.started": return event["item"].map { start($0) } ?? []
        case "item.completed": return event["item"].map { complete($0) } ?? []
        case "turn.completed":
            isComplete = true
            result.failure = nil
            result.turns += 1
            // All of the thread so far, so a later one replaces an earlier one.
            if let usage = event["usage"] { result.usage = AgentUsage(codex: usage) }
            return []
        case "turn.failed":
            isComplete = true
            result.turns += 1
            fail(event["error"]?["message"]?.stringValue ?? lastError ?? "the agent's turn failed without a reason")
            return []
        case "error":
            let message = event["message"]?.stringValue ?? "an error without words"
            lastError = String(message.prefix(Self.maxOutputCharacters))
            return [.warning(String(message.prefix(Self.maxOutputCharacters)))]
        default: return []
        }
    }

    private mutating func fail(_ message: String) {
        result.failure = AgentFailure(
            String(message.prefix(Self.maxOutputCharacters)),
            hint: LoginProblem.hint(in: message),
        )
    }

    // MARK: Items

    private mutating func start(_ item: JSONValue) -> [AgentEvent] {
        guard let call = Call(item), open.count < Self.maxOpenItems else { return [] }
        return [begin(call)]
    }

    private mutating func begin(_ call: Call) -> AgentEvent {
        var index: Int?
        if result.toolCalls.count < Self.maxToolCalls {
            index = result.toolCalls.count
            result.toolCalls.append(AgentToolCall(id: call.id, name: call.name, input: call.input.shortened))
        }
        open.updateValue(index, forKey: call.id)
        return .toolStarted(
            id: call.id,
            name: call.name,
            summary: ToolSummary.text(name: call.name, input: call.input),
        )
    }

    private mutating func complete(_ item: JSONValue) -> [AgentEvent] {
        switch item["type"]?.stringValue {
        case "agent_message":
            guard let text = item["text"]?.stringValue else { return [] }
            result.text = text
            return [.text(text)]
        case "error":
            return item["message"]?.stringValue.map { [.warning(String($0.prefix(Self.maxOutputCharacters)))] } ?? []
        default: break
        }
        guard let call = Call(item) else { return [] }
        var events: [AgentEvent] = []
        // Some items are only told when they are complete.
        if open[call.id] == nil { events.append(begin(call)) }
        let output = String(call.output.prefix(Self.maxOutputCharacters))
        if let index = open.removeValue(forKey: call.id) ?? nil {
            result.toolCalls[index].input = call.input.shortened
            result.toolCalls[index].output = output
            result.toolCalls[index].isError = call.isError
        }
        events.append(.toolFinished(id: call.id, name: call.name, isError: call.isError, output: output))
        return events
    }

    /// An item that is a call of a tool.
    private struct Call {
        let id: String
        let name: String
        let input: JSONValue
        let output: String
        let isError: Bool

        /// Nil for an item of another kind.
        init?(_ item: JSONValue) {
            guard let id = item["id"]?.stringValue, let type = item["type"]?.stringValue else { return nil }
            self.id = id
            let status = item["status"]?.stringValue
            switch type {
            case "agent_message", "reasoning", "todo_list", "plan", "error": return nil
            case "mcp_tool_call":
                name = "mcp__\(item["server"]?.stringValue ?? "?")__\(item["tool"]?.stringValue ?? "?")"
                input = item["arguments"] ?? .null
                let error = item["error"]?["message"]?.stringValue
                output = error ?? Self.text(of: item["result"]?["content"])
                isError = status == "failed" || error != nil
            case "command_execution":
                name = type
                input = .object(["command": item["command"] ?? .null])
                output = item["aggregated_output"]?.stringValue ?? ""
                isError = status == "failed" || status == "declined" || (item["exit_code"]?.integerValue ?? 0) != 0
            case "file_change":
                name = type
                input = .object(["changes": item["changes"] ?? .array([])])
                output = status ?? ""
                isError = status == "failed"
            case "web_search":
                name = type
                input = .object(["query": item["query"] ?? .null])
                output = ""
                isError = false
            default:
                // A kind that came later: what it is called and how it went is the same for all.
                name = type
                input = item
                output = ""
                isError = status == "failed"
            }
        }

        private static func text(of content: JSONValue?) -> String {
            (content?.arrayValue ?? []).compactMap { $0["text"]?.stringValue }.joined(separator: "\n")
        }
    }
}

extension AgentUsage {
    /// Cached tokens are a part of the input there; here they stand beside it.
    fileprivate init(codex usage: JSONValue) {
        self.init()
        func count(_ key: String) -> UInt64 { usage[key]?.integerValue.map { UInt64(clamping: $0) } ?? 0 }
        let input = count("input_tokens")
        cacheReadTokens = min(count("cached_input_tokens"), input)
        inputTokens = input - cacheReadTokens
        outputTokens = count("output_tokens")
    }
}
