import Primitives
import Testing

@testable import AgentRuntimes

@Suite("Codex stream parser") struct CodexStreamParserTests {
    /// In the format of `codex exec --json`.
    private static let transcript = #"""
        {"type":"thread.started","thread_id":"0199a213-81c0-7800-8aa1-bbab2a035a53"}
        {"type":"turn.started"}
        {"type":"item.completed","item":{"id":"item_0","type":"reasoning","text":"**Looking around**"}}
        {"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"bash -lc ls","aggregated_output":"","exit_code":null,"status":"in_progress"}}
        {"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"bash -lc ls","aggregated_output":"a\nb\n","exit_code":0,"status":"completed"}}
        {"type":"item.started","item":{"id":"item_2","type":"mcp_tool_call","server":"notes","tool":"add","arguments":{"a":1},"result":null,"error":null,"status":"in_progress"}}
        {"type":"item.completed","item":{"id":"item_2","type":"mcp_tool_call","server":"notes","tool":"add","arguments":{"a":1},"result":{"content":[{"type":"text","text":"noted"}],"structured_content":null},"error":null,"status":"completed"}}
        {"type":"item.completed","item":{"id":"item_3","type":"file_change","changes":[{"path":"docs/foo.md","kind":"add"}],"status":"completed"}}
        {"type":"item.started","item":{"id":"item_4","type":"todo_list","items":[{"text":"x","completed":false}]}}
        {"type":"item.completed","item":{"id":"item_5","type":"agent_message","text":"First."}}
        {"type":"item.completed","item":{"id":"item_6","type":"agent_message","text":"Grüße 🦊"}}
        {"type":"turn.completed","usage":{"input_tokens":24763,"cached_input_tokens":24448,"output_tokens":122}}

        """#

    private func parse(_ text: String, piece size: Int = .max) throws -> (
        events: [AgentEvent], parser: CodexStreamParser
    ) {
        var parser = CodexStreamParser()
        var rest = Array(text.utf8)[...]
        var events: [AgentEvent] = []
        while !rest.isEmpty {
            events += try parser.feed(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        events += parser.finish()
        return (events, parser)
    }

    @Test func `a transcript gives its events and result`() throws {
        let (events, parser) = try parse(Self.transcript)
        #expect(
            events == [
                .started(session: "0199a213-81c0-7800-8aa1-bbab2a035a53", model: nil),
                .toolStarted(id: "item_1", name: "command_execution", summary: "bash -lc ls"),
                .toolFinished(id: "item_1", name: "command_execution", isError: false, output: "a\nb\n"),
                .toolStarted(id: "item_2", name: "mcp__notes__add", summary: ""),
                .toolFinished(id: "item_2", name: "mcp__notes__add", isError: false, output: "noted"),
                .toolStarted(id: "item_3", name: "file_change", summary: ""),
                .toolFinished(id: "item_3", name: "file_change", isError: false, output: "completed"),
                .text("First."), .text("Grüße 🦊"),
            ]
        )
        let result = parser.result
        #expect(parser.isComplete && result.failure == nil)
        #expect(result.text == "Grüße 🦊" && result.turns == 1)
        #expect(result.usage.inputTokens == 315 && result.usage.cacheReadTokens == 24448)
        #expect(result.usage.outputTokens == 122)
        #expect(result.toolCalls.map(\.name) == ["command_execution", "mcp__notes__add", "file_change"])
        #expect(result.toolCalls[1].input == .object(["a": 1]) && result.toolCalls[1].output == "noted")
    }

    @Test(arguments: [1, 2, 3, 7, 64])
    func `pieces of any size give the same, characters across pieces included`(_ size: Int) throws {
        #expect(try parse(Self.transcript, piece: size).events == parse(Self.transcript).events)
    }

    @Test func `usage is that of the whole thread, so the last one counts`() throws {
        let second =
            #"{"type":"turn.completed","usage":{"input_tokens":30000,"cached_input_tokens":0,"output_tokens":200}}"#
        let result = try parse(Self.transcript + second).parser.result
        #expect(result.usage.inputTokens == 30000 && result.usage.outputTokens == 200 && result.turns == 2)
    }

    @Test func `a failed turn is a failure with its reason`() throws {
        let text = """
            {"type":"thread.started","thread_id":"t"}
            {"type":"error","message":"stream error: 401 Unauthorized; retrying 1/5"}
            {"type":"turn.failed","error":{"message":"unexpected status 401 Unauthorized"}}
            """
        let (events, parser) = try parse(text)
        #expect(events.last == .warning("stream error: 401 Unauthorized; retrying 1/5"))
        #expect(parser.result.failure?.message == "unexpected status 401 Unauthorized")
        #expect(parser.result.failure?.hint?.contains("OPENAI_API_KEY") == true)
    }

    @Test func `an error that ended it is told where no turn says more`() throws {
        let parser = try parse(#"{"type":"error","message":"no such model"}"#).parser
        #expect(!parser.isComplete && parser.result.failure?.message == "no such model")
    }

    @Test func `an error that was survived is none`() throws {
        let parser = try parse(#"{"type":"error","message":"retrying"}"# + "\n" + Self.transcript).parser
        #expect(parser.result.failure == nil)
    }

    @Test func `calls that fail are marked`() throws {
        let text = #"""
            {"type":"item.completed","item":{"id":"1","type":"command_execution","command":"false","aggregated_output":"","exit_code":1,"status":"failed"}}
            {"type":"item.completed","item":{"id":"2","type":"mcp_tool_call","server":"s","tool":"t","arguments":null,"result":null,"error":{"message":"no"},"status":"failed"}}
            {"type":"item.completed","item":{"id":"3","type":"collab_tool_call","tool":"wait","status":"completed"}}
            """#
        let calls = try parse(text).parser.result.toolCalls
        #expect(calls.map(\.isError) == [true, true, false])
        #expect(calls.map(\.name) == ["command_execution", "mcp__s__t", "collab_tool_call"])
        #expect(calls[1].output == "no")
    }

    @Test func `lines that are not JSON are told and counted`() throws {
        let (events, parser) = try parse("panic\n" + Self.transcript)
        #expect(events.first == .warning("a line of the agent's output is not JSON: panic"))
        #expect(parser.unreadableLines == 1 && parser.result.text == "Grüße 🦊")
    }
}
