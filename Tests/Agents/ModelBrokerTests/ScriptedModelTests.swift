internal import JSONCoding
internal import ModelProviders
internal import NIOHTTP1
internal import Primitives
internal import Testing

@testable internal import ModelBroker

@Suite("Scripted model", .timeLimit(.minutes(10))) struct ScriptedModelTests {
    private static let script = """
        turns:
          - text: I write the file.
            tool_use: {name: Write, input: {file_path: /workspace/o.md, content: "a\\nb"}}
            usage: {input_tokens: 100, output_tokens: 20}
          - text: Done.
        """

    private func question(stream: Bool, extra: String = "") -> String {
        """
        {"model":"claude-sonnet-4-5","max_tokens":100,"stream":\(stream),"tools":[{"name":"Write"}],\
        "messages":[{"role":"user","content":"hi"}]\(extra)}
        """
    }

    private func events(_ body: String) -> [(String, JSONValue)] {
        var parser = SSEParser()
        var events: [(String, JSONValue)] = []
        parser.consume(Array(body.utf8)) { event in
            events.append((event.name, (try? JSONValue(decoding: event.data)) ?? .null))
        }
        return events
    }

    @Test func `an Anthropic stream has its events in order`() async throws {
        try await ModelProvider.withScript(Self.script) { provider in
            try await Guest.run(provider) { guest in
                let answer = try await guest.post("/v1/messages", question(stream: true))
                #expect(answer.status == 200)
                #expect(answer.headers.first(name: "content-type") == "text/event-stream; charset=utf-8")
                let events = events(answer.body)
                #expect(
                    events.map(\.0) == [
                        "message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop",
                        "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
                        "message_stop",
                    ]
                )
                #expect(events.allSatisfy { $0.0 == $0.1["type"]?.stringValue })
                #expect(events[0].1["message"]?["model"] == "claude-sonnet-4-5")
                #expect(events[5].1["content_block"]?["name"] == "Write")
                let input = try JSONValue(
                    decoding: Array((events[6].1["delta"]?["partial_json"]?.stringValue ?? "").utf8)
                )
                #expect(input == ["file_path": "/workspace/o.md", "content": "a\nb"])
                #expect(events[8].1["delta"]?["stop_reason"] == "tool_use")
                let usage = await guest.broker.usage
                #expect(usage.tokens == TokenCount(input: 100, output: 20))
                #expect(usage.cost == 0)
                #expect(usage.models["claude-sonnet-4-5"]?.responses == 1)
            }
        }
    }

    @Test func `an Anthropic response without a stream is one document`() async throws {
        try await ModelProvider.withScript(Self.script) { provider in
            try await Guest.run(provider) { guest in
                let answer = try #require(try await guest.post("/v1/messages", question(stream: false)).json)
                #expect(answer["stop_reason"] == "tool_use")
                #expect(answer["content"]?.arrayValue?.count == 2)
                #expect(answer["usage"]?["input_tokens"] == 100)
                let last = try #require(try await guest.post("/v1/messages", question(stream: false)).json)
                #expect(last["stop_reason"] == "end_turn")
                #expect(await guest.broker.usage.models.values.first?.responses == 2)
            }
        }
    }

    @Test func `OpenAI's dialect plays the same turns`() async throws {
        try await ModelProvider.withScript(Self.script) { provider in
            try await Guest.run(provider) { guest in
                let extra = #","stream_options":{"include_usage":true}"#
                let streamed = try await guest.post("/v1/chat/completions", question(stream: true, extra: extra))
                #expect(streamed.body.hasSuffix("data: [DONE]\n\n"))
                #expect(streamed.body.contains(#""finish_reason":"tool_calls""#))
                let whole = try #require(try await guest.post("/v1/chat/completions", question(stream: false)).json)
                let choice = try #require(whole["choices"]?.arrayValue?.first)
                #expect(choice["message"]?["content"] == "Done.")
                #expect(choice["finish_reason"] == "stop")
                let usage = await guest.broker.usage
                #expect(usage.unmetered == 0)
                #expect(usage.tokens.input > 100)
            }
        }
    }

    @Test func `the Responses API streams items, and its cached tokens are counted apart`() async throws {
        let script = """
            turns:
              - text: I look.
                tool_use: {name: shell, input: {command: ls}}
                usage: {input_tokens: 100, output_tokens: 20, cache_read_input_tokens: 30}
              - expect: {last_tool_result_contains: a.txt, last_user_text_contains: hi, request_contains: call_1}
                text: Done.
            """
        func question(_ input: String, stream: Bool) -> String {
            #"{"model":"gpt-x","stream":\#(stream),"tools":[{"type":"function","name":"shell"}],"input":\#(input)}"#
        }
        try await ModelProvider.withScript(script) { provider in
            try await Guest.run(provider) { guest in
                let streamed = try await guest.post("/v1/responses", question(#""hi""#, stream: true))
                let events = events(streamed.body)
                #expect(
                    events.map(\.0) == [
                        "response.created", "response.output_item.added", "response.output_text.delta",
                        "response.output_item.done", "response.output_item.added", "response.output_item.done",
                        "response.completed",
                    ]
                )
                let call = events[5].1["item"]
                #expect(call?["type"] == "function_call" && call?["name"] == "shell")
                #expect(call?["arguments"] == #"{"command":"ls"}"#)
                #expect(await guest.broker.usage.tokens == TokenCount(input: 100, output: 20, cacheRead: 30))
                let items = """
                    [{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},
                    {"type":"function_call","call_id":"call_1","name":"shell","arguments":"{}"},
                    {"type":"function_call_output","call_id":"call_1","output":"a.txt"}]
                    """
                let whole = try #require(try await guest.post("/v1/responses", question(items, stream: false)).json)
                #expect(whole["status"] == "completed")
                let text = whole["output"]?.arrayValue?.first?["content"]?.arrayValue?.first?["text"]
                #expect(text == "Done.")
                let usage = await guest.broker.usage
                #expect(usage.unmetered == 0 && usage.models["gpt-x"]?.responses == 2)
                let missing = try await guest.post("/v1/responses", "{}")
                #expect(
                    missing.status == 400 && missing.json?["error"]?["message"]?.stringValue?.contains("input") == true
                )
            }
        }
    }

    @Test func `a cut turn breaks the connection after its bytes`() async throws {
        try await ModelProvider.withScript("turns: [{cut_after_bytes: 200}, {text: again}]") { provider in
            try await Guest.run(provider) { guest in
                await #expect(throws: (any Error).self) { try await guest.post("/v1/messages", question(stream: true)) }
                let usage = await guest.broker.usage
                #expect(usage.lastFailure?.reason == .cut(afterBytes: 200))
                let next = try await guest.post("/v1/messages", question(stream: true))
                #expect(next.body.contains("again"))
            }
        }
    }

    @Test func `an error turn has its status, its words and a hint whether to ask again`() async throws {
        let script = "turns: [{error: {status: 529, message: busy}}, {error: {status: 403, message: never}}]"
        try await ModelProvider.withScript(script) { provider in
            try await Guest.run(provider) { guest in
                let busy = try await guest.post("/v1/messages", question(stream: true))
                #expect(busy.status == 529)
                #expect(busy.json?["error"]?["type"] == "overloaded_error")
                #expect(busy.headers.first(name: "x-should-retry") == "true")
                let never = try await guest.post("/v1/chat/completions", question(stream: true))
                #expect(never.status == 403)
                #expect(never.json?["error"]?["message"] == "never")
                #expect(never.headers.first(name: "x-should-retry") == "false")
                #expect(await guest.broker.usage.lastFailure?.reason == .status(403, message: "never"))
            }
        }
    }

    @Test func `side requests are answered and take no turn`() async throws {
        try await ModelProvider.withScript(Self.script) { provider in
            try await Guest.run(provider) { guest in
                let aside = #"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"quota"}]}"#
                #expect(try await guest.post("/v1/messages", aside).json?["stop_reason"] == "end_turn")
                let count = try await guest.post("/v1/messages/count_tokens", aside)
                #expect((count.json?["input_tokens"]?.integerValue ?? 0) > 0)
                let models = try await guest.send(guest.request(.GET, "/v1/models"))
                #expect(models.json?["data"]?.arrayValue?.first?["id"] == "scripted")
                #expect(try await guest.post("/v1/messages", question(stream: true)).body.contains("Write"))
            }
        }
    }

    @Test func `a malformed question is refused in the dialect's words`() async throws {
        try await ModelProvider.withScript(Self.script) { provider in
            try await Guest.run(provider) { guest in
                let answer = try await guest.post("/v1/messages", "{")
                #expect(answer.status == 400)
                #expect(answer.json?["error"]?["type"] == "invalid_request_error")
            }
        }
    }
}
