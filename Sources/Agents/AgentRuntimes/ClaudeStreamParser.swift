internal import JSONCoding
package import Primitives

/// Reads what `claude --output-format stream-json --verbose` writes: one JSON object a line.
///
/// Holds one partial line and the result so far, never the stream.
package struct ClaudeStreamParser: AgentStreamParser {
    /// A tool may return a whole file in one line; more than this is not a transcript.
    static let maxLineBytes = 64 << 20
    static let maxOutputCharacters = 2000
    /// Calls that are kept for the report; later ones are counted.
    static let maxToolCalls = 10_000
    private static let maxOpenMessages = 64

    private var splitter = LineSplitter(limit: Self.maxLineBytes)
    /// Usage of the newest messages: the agent repeats a message on several lines as its blocks complete.
    private var recentUsage: [(message: String, usage: AgentUsage)] = []
    private var finishedUsage = AgentUsage()
    private var hasResult = false
    package private(set) var unreadableLines = 0
    private(set) var unkeptToolCalls = 0
    package private(set) var result = AgentResult()

    package init() {}

    /// True once the agent has said how it ended.
    package var isComplete: Bool { hasResult }

    package mutating func feed(_ bytes: [UInt8]) throws(LineSplitter.TooLong) -> [AgentEvent] {
        try splitter.feed(bytes).flatMap { read($0) }
    }

    package mutating func finish() -> [AgentEvent] {
        let events = splitter.finish().map { read($0) } ?? []
        if !hasResult { result.usage = usageSoFar }
        return events
    }

    private mutating func read(_ line: [UInt8]) -> [AgentEvent] {
        if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { return [] }
        guard let object = try? JSONValue(decoding: line), let type = object["type"]?.stringValue
        else {
            unreadableLines += 1
            let text = String(decoding: line.prefix(200), as: UTF8.self)
            return [.warning("a line of the agent's output is not JSON: \(text)")]
        }
        switch type {
        case "system": return system(object)
        case "assistant": return assistant(object["message"])
        case "user": return user(object["message"])
        case "result": return end(object)
        default: return []
        }
    }

    private mutating func system(_ object: JSONValue) -> [AgentEvent] {
        guard object["subtype"]?.stringValue ?? "init" == "init" else { return [] }
        result.sessionID = object["session_id"]?.stringValue ?? result.sessionID
        result.model = object["model"]?.stringValue ?? result.model
        return [.started(session: result.sessionID, model: result.model)] + missingServers(object["mcp_servers"])
    }

    /// The agent goes on without the tools of a server that it could not reach.
    private func missingServers(_ servers: JSONValue?) -> [AgentEvent] {
        (servers?.arrayValue ?? []).compactMap { server in
            guard let name = server["name"]?.stringValue, let status = server["status"]?.stringValue,
                !["connected", "disabled"].contains(status)
            else { return nil }
            return .warning("MCP server \(name) gives the agent no tools: \(status)")
        }
    }

    private mutating func assistant(_ message: JSONValue?) -> [AgentEvent] {
        guard let message else { return [] }
        if let model = message["model"]?.stringValue, model != "<synthetic>" { result.model = model }
        if let usage = message["usage"] {
            // Without an identifier each line is a message of its own.
            if let id = message["id"]?.stringValue {
                count(AgentUsage(usage), of: id)
            } else {
                finishedUsage = finishedUsage + AgentUsage(usage)
            }
        }
        return (message["content"]?.arrayValue ?? []).compactMap { block in
            switch block["type"]?.stringValue {
            case "text": return block["text"]?.stringValue.map { .text($0) }
            case "tool_use": return startTool(block)
            default: return nil
            }
        }
    }

    private mutating func count(_ usage: AgentUsage, of message: String) {
        if let index = recentUsage.lastIndex(where: { $0.message == message }) {
            recentUsage[index].usage = usage
            return
        }
        // Agents that work side by side take turns, but a message is over long before so many others.
        if recentUsage.count == Self.maxOpenMessages { finishedUsage = finishedUsage + recentUsage.removeFirst().usage }
        recentUsage.append((message, usage))
    }

    private var usageSoFar: AgentUsage { recentUsage.reduce(finishedUsage) { $0 + $1.usage } }

    private mutating func startTool(_ block: JSONValue) -> AgentEvent {
        let name = block["name"]?.stringValue ?? "?"
        let id = block["id"]?.stringValue ?? ""
        let input = block["input"] ?? .null
        if result.toolCalls.count < Self.maxToolCalls {
            result.toolCalls.append(AgentToolCall(id: id, name: name, input: input.shortened))
        } else {
            unkeptToolCalls += 1
        }
        return .toolStarted(id: id, name: name, summary: ToolSummary.text(name: name, input: input))
    }

    private mutating func user(_ message: JSONValue?) -> [AgentEvent] {
        (message?["content"]?.arrayValue ?? []).compactMap { block in
            guard block["type"]?.stringValue == "tool_result", let id = block["tool_use_id"]?.stringValue else {
                return nil
            }
            let output = String(Self.text(of: block["content"]).prefix(Self.maxOutputCharacters))
            let isError = block["is_error"]?.boolValue ?? false
            guard let index = result.toolCalls.lastIndex(where: { $0.id == id }) else { return nil }
            result.toolCalls[index].output = output
            result.toolCalls[index].isError = isError
            return .toolFinished(id: id, name: result.toolCalls[index].name, isError: isError, output: output)
        }
    }

    private mutating func end(_ object: JSONValue) -> [AgentEvent] {
        hasResult = true
        result.text = object["result"]?.stringValue ?? result.text
        result.sessionID = object["session_id"]?.stringValue ?? result.sessionID
        result.costUSD = object["total_cost_usd"]?.numberValue ?? result.costUSD
        result.turns = object["num_turns"]?.integerValue.flatMap { Int(exactly: $0) } ?? result.turns
        result.usage = object["usage"].map { AgentUsage($0) } ?? usageSoFar
        if object["is_error"]?.boolValue == true {
            let subtype = object["subtype"]?.stringValue.flatMap { $0 == "success" ? nil : $0 }
            let errors = object["errors"]?.arrayValue?.compactMap(\.stringValue).joined(separator: "; ")
            let said = [object["error"]?.stringValue, object["result"]?.stringValue, errors, subtype]
            let message =
                said.lazy.compactMap { $0 }.first { !$0.isEmpty } ?? "the agent reported an error without saying which"
            result.failure = AgentFailure(
                String(message.prefix(Self.maxOutputCharacters)),
                hint: LoginProblem.hint(in: message)
            )
        }
        return []
    }

    /// The text of a tool's result, which is a string or a list of blocks.
    private static func text(of content: JSONValue?) -> String {
        if let text = content?.stringValue { return text }
        return (content?.arrayValue ?? []).compactMap { $0["text"]?.stringValue }.joined(separator: "\n")
    }
}

extension AgentUsage {
    fileprivate init(_ usage: JSONValue) {
        self.init()
        func count(_ key: String) -> UInt64 { usage[key]?.integerValue.map { UInt64(clamping: $0) } ?? 0 }
        inputTokens = count("input_tokens")
        outputTokens = count("output_tokens")
        cacheReadTokens = count("cache_read_input_tokens")
        cacheWriteTokens = count("cache_creation_input_tokens")
    }
}
