import Foundation
import Primitives
import Sandboxing
import TestSupport
import Testing

@testable import AgentRuntimes

@Suite("Claude stream parser") struct ClaudeStreamParserTests {
    private static let transcript = """
        {"type":"system","subtype":"init","session_id":"s-1","model":"claude-x"}
        {"type":"assistant","message":{"id":"m1","model":"claude-x","usage":{"input_tokens":10,"output_tokens":1},"content":[{"type":"text","text":"Grüße 🦊"}]}}
        {"type":"assistant","message":{"id":"m1","model":"claude-x","usage":{"input_tokens":10,"output_tokens":4},"content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls\\n-l"}}]}}
        {"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}}
        {"type":"rate_limit_event","anything":1}
        {"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"s-1","total_cost_usd":0.5,"num_turns":2,"usage":{"input_tokens":11,"output_tokens":5,"cache_read_input_tokens":3}}

        """

    private func parse(_ text: String, pieces: [Int]? = nil) throws -> (events: [AgentEvent], result: AgentResult) {
        var parser = ClaudeStreamParser()
        var rest = Array(text.utf8)[...]
        var events: [AgentEvent] = []
        var sizes = (pieces ?? []).makeIterator()
        while !rest.isEmpty {
            let piece = rest.prefix(max(sizes.next() ?? rest.count, 1))
            events += try parser.feed(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        events += parser.finish()
        return (events, parser.result)
    }

    @Test func `a transcript gives its events and result`() throws {
        let (events, result) = try parse(Self.transcript)
        #expect(
            events == [
                .started(session: "s-1", model: "claude-x"), .text("Grüße 🦊"),
                .toolStarted(id: "t1", name: "Bash", summary: "ls -l"),
                .toolFinished(id: "t1", name: "Bash", isError: false, output: "a\nb"),
            ]
        )
        #expect(result.text == "done")
        #expect(result.costUSD == 0.5)
        #expect(result.turns == 2)
        #expect(result.usage.inputTokens == 11 && result.usage.outputTokens == 5 && result.usage.cacheReadTokens == 3)
        #expect(result.failure == nil)
        #expect(result.toolCalls.map(\.name) == ["Bash"])
    }

    @Test func `a server that the agent could not reach is told`() throws {
        let line = """
            {"type":"system","subtype":"init","session_id":"s","model":"m","mcp_servers":[{"name":"a","status":"connected"},{"name":"b","status":"failed"}]}
            """
        #expect(
            try parse(line).events == [
                .started(session: "s", model: "m"), .warning("MCP server b gives the agent no tools: failed"),
            ]
        )
    }

    @Test func `pieces of any size give the same, characters across pieces included`() throws {
        let whole = try parse(Self.transcript).events
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let sizes = (0..<2000).map { _ in Int.random(in: 1...40, using: &generator) }
            #expect(try parse(Self.transcript, pieces: sizes).events == whole)
        }
    }

    @Test func `a message on several lines is counted once where there is no result`() throws {
        let cut = Self.transcript.split(separator: "\n").dropLast().joined(separator: "\n")
        let result = try parse(cut).result
        #expect(result.usage.inputTokens == 10 && result.usage.outputTokens == 4)
    }

    @Test func `a line that is not JSON is told and skipped`() throws {
        let (events, result) = try parse("panic: oh no\n" + Self.transcript)
        #expect(events.first == .warning("a line of the agent's output is not JSON: panic: oh no"))
        #expect(result.text == "done")
    }

    @Test func `an error result is a failure with what was said`() throws {
        let line = #"{"type":"result","subtype":"success","is_error":true,"result":"API Error: 401 Invalid API key"}"#
        let failure = try parse(line).result.failure
        #expect(failure?.message == "API Error: 401 Invalid API key")
        #expect(failure?.hint?.contains("ANTHROPIC_API_KEY") == true)
    }

    @Test func `a line beyond the limit is an error, not memory`() throws {
        var splitter = LineSplitter(limit: 100)
        _ = try splitter.feed([UInt8](repeating: 65, count: 100))
        #expect(throws: LineSplitter.TooLong.self) { _ = try splitter.feed([65]) }
    }

    /// In a process of its own: what other tests take meanwhile is not the stream's.
    @Test func `ten thousand lines and 200 MB pass with every event, in little memory`() async throws {
        var environment = ProcessInfo.processInfo.environment
        guard environment.updateValue("1", forKey: "VOIDBOX_TEST_ALONE") == nil else { return try parseMuch() }
        // Not Swift Testing's exit test, which was seen to miss the end of its process while others ended.
        let filter = ["--testing-library", "swift-testing", "--filter", "ten thousand lines and 200 MB"]
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let result = try await TestProcess.start([program] + filter, environment: environment).end()
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        #expect((result.output + result.errors).contains("with 1 test "))
    }

    private func parseMuch() throws {
        var parser = ClaudeStreamParser()
        let text = String(repeating: "x", count: 20_000)
        func line(_ index: Int) -> [UInt8] {
            let call = #"{"type":"tool_use","id":"t\#(index)","name":"Write","input":{"content":"\#(text)"}}"#
            return Array(#"{"type":"assistant","message":{"id":"m\#(index)","content":[\#(call)]}}"#.utf8) + [0x0A]
        }
        func residentBytes() throws -> Int {
            let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            return try #require(Int(fields[1])) * 4096
        }
        // What the allocator takes for good with the first lines is not the stream's.
        for index in 0..<100 { _ = try parser.feed(line(index)) }
        let before = try residentBytes()
        var count = 100
        for index in 100..<10_000 { count += try parser.feed(line(index)).count }
        #expect(count == 10_000)
        #expect(parser.result.toolCalls.count == 10_000)
        #expect(try residentBytes() - before < 100 << 20)
    }

    @Test func `endings that the agent did not explain are explained`() {
        let task = AgentTask(program: "claude-code", prompt: "p")
        func failure(_ exit: ExecExit, complete: Bool = false, stderr: String = "") -> String? {
            AgentRun.failure(exit, isComplete: complete, stderr: stderr, task)?.message
        }
        #expect(failure(ExecExit(status: .code(0)), complete: true) == nil)
        #expect(failure(ExecExit(status: .signal(11)), stderr: "oops\n") == "the agent crashed with signal 11: oops")
        #expect(failure(ExecExit(status: .code(0))) == "the agent ended without a result event (exit status 0)")
        #expect(failure(ExecExit(status: .signal(9), timedOut: true)) == "the agent did not finish within 1200 s")
        #expect(failure(ExecExit(status: .signal(9), outOfMemory: true)) == "the agent ran out of memory")
    }

    @Test func `the prompt names the output file and quotes the input`() {
        var task = AgentTask(program: "p", prompt: "Do it.")
        task.input = String(repeating: "é", count: 5000)
        let prompt = AgentPrompt.first(task)
        #expect(prompt.hasPrefix("Do it.\n\nWrite your final result to the file /workspace/output.json."))
        #expect(prompt.filter { $0 == "é" }.count == 4000)
    }

    @Test func `a tool's summary is one short line`() {
        let long = String(repeating: "a", count: 200)
        #expect(ToolSummary.text(name: "Bash", input: .object(["command": .string(long)])).count == 80)
        #expect(ToolSummary.text(name: "Unknown", input: .null) == "")
    }
}
