internal import Foundation
internal import Primitives
internal import Testing

@testable internal import ModelBroker

@Suite("Model script") struct ModelScriptTests {
    @Test func `every kind of turn is read`() throws {
        let script = try ModelScript(
            """
            turns:
              - text: I write.
                tool_use: {name: Write, input: {file_path: /w/o.md, count: 3, ratio: 0.5, on: true, none: null, list: [a, "1"]}}
                usage: {input_tokens: 100, output_tokens: 20, cache_read_input_tokens: 5, cache_creation_input_tokens: 6}
                delay_ms: 250
                expect: {last_tool_result_contains: a, last_user_text_contains: b}
              - tool_use:
                  - {name: A}
                  - {name: B, input: {}}
              - error: {status: 529, message: busy, times: 2}
              - error: {status: 400, type: strange_error}
              - cut_after_bytes: 200
              - text: "Done."
            """
        )
        #expect(script.turns.count == 6)
        let input: [String: JSONValue] = [
            "file_path": "/w/o.md", "count": 3, "ratio": .number(0.5), "on": true, "none": .null, "list": ["a", "1"],
        ]
        let first = ModelScript.Answer(
            text: "I write.",
            toolUses: [ModelScript.ToolUse(name: "Write", input: input)],
            usage: ModelScript.Usage(
                inputTokens: 100,
                outputTokens: 20,
                cacheCreationInputTokens: 6,
                cacheReadInputTokens: 5,
            ),
        )
        #expect(script.turns[0].action == .answer(first))
        #expect(script.turns[0].line == 2)
        #expect(script.turns[0].delay == .milliseconds(250))
        let expectation = ModelScript.Expectation(lastToolResultContains: "a", lastUserTextContains: "b")
        #expect(script.turns[0].expectation == expectation)
        let busy = ModelScript.Failure(status: 529, type: "overloaded_error", message: "busy", times: 2)
        #expect(script.turns[2].action == .error(busy))
        let strange = ModelScript.Failure(status: 400, type: "strange_error", message: "scripted error", times: nil)
        #expect(script.turns[3].action == .error(strange))
        #expect(script.turns[4].action == .answer(ModelScript.Answer(cutAfterBytes: 200)))
    }

    @Test(
        arguments: [
            ("", nil, "empty"),
            ("# nothing\n", nil, "empty"),
            ("turns: []", 1, "at least one"),
            ("text: hi", 1, "text: is not known; known here are turns"),
            ("- text: hi", 1, "must be a mapping"),
            ("turns:\n  - txt: hi", 2, "turns[0].txt: is not known"),
            ("turns:\n  - text: 3", 2, "turns[0].text: must be text"),
            ("turns:\n  - text: true", 2, "must be text"),
            ("turns:\n  - {}", 2, "a turn needs"),
            ("turns:\n  - delay_ms: 3", 2, "a turn needs"),
            ("turns:\n  - text: a\n    delay_ms: -1", 3, "integer from 0"),
            ("turns:\n  - text: a\n    delay_ms: 1.5", 3, "integer from 0"),
            ("turns:\n  - text: a\n    delay_ms: 99999999999999999999", 3, "integer from 0"),
            ("turns:\n  - error: {message: x}", 2, "status is missing"),
            ("turns:\n  - error: {status: 200}", 2, "from 400 to 599"),
            ("turns:\n  - error: {status: 500}\n    text: x", 3, "cannot stand beside error"),
            ("turns:\n  - tool_use: {input: {}}", 2, "name is missing"),
            ("turns:\n  - tool_use: {name: \"\"}", 2, "must not be empty"),
            ("turns:\n  - tool_use: []", 2, "at least one use"),
            ("turns:\n  - tool_use: {name: A, input: [1]}", 2, "must be a mapping"),
            ("turns:\n  - text: a\n    text: b", 2, "twice"),
            ("turns:\n  - text: a\n   text: b", 3, "indicator"),
            ("turns: [", 2, "expected node"),
            ("turns: \"open", 1, "end of stream"),
            ("turns: *nothing", 1, "undefined alias"),
            ("turns:\n  - &a {text: x}\n  - *a", 2, "anchors"),
            ("turns:\n  - ? [x]\n    : y", 2, "a key must be a word"),
            ("turns: [{text: a}]\n---\nturns: []", 2, "another document"),
            ("\u{1}", nil, "no YAML document"),
        ] as [(String, Int?, String)]
    )
    func `a script that is wrong is refused with its place`(_ text: String, _ line: Int?, _ message: String) throws {
        let error = try #require(throws: ModelScriptError.self) { try ModelScript(text) }
        if let line { #expect(error.line == line, "\(error)") }
        #expect(error.description.contains(message), "\(error)")
    }

    @Test func `aliases that would grow without end are refused at once`() {
        var text = "a0: &a0 {x: y}\n"
        for level in 1...60 { text += "a\(level): &a\(level) {k: *a\(level - 1), l: *a\(level - 1)}\n" }
        #expect(throws: ModelScriptError.self) { try ModelScript(text + "turns: [{tool_use: {name: A, input: *a60}}]") }
    }

    @Test(arguments: [65, 900, 5000, 200_000])
    func `deep nesting is refused`(_ depth: Int) {
        let deep = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(throws: ModelScriptError.self) {
            try ModelScript("turns: [{tool_use: {name: A, input: {x: \(deep)}}}]")
        }
    }

    @Test func `a large file is refused`() {
        let text = "turns: [{text: \"\(String(repeating: "x", count: 1 << 20))\"}]"
        #expect(throws: ModelScriptError.self) { try ModelScript(text) }
    }

    @Test func `a file that is not there is named`() throws {
        let error = try #require(throws: ModelScriptError.self) { try ModelScript(readingFrom: "/nowhere/s.yaml") }
        #expect(error.description.contains("/nowhere/s.yaml"))
    }
}

@Suite("Script player") struct ScriptPlayerTests {
    private func conversation(_ messages: String, tools: String = #"[{"name":"A"}]"#) throws -> ScriptedConversation {
        let body = #"{"model":"m","messages":\#(messages),"tools":\#(tools)}"#
        return try ScriptedConversation(body: Array(body.utf8))
    }

    private let hello = #"[{"role":"user","content":"hello"}]"#

    private func text(_ play: ScriptPlayer.Play) -> String? {
        switch play {
        case .answer(let answer, _, _): answer.text
        case .error(let failure, _): "\(failure.status) \(failure.message)"
        }
    }

    @Test func `turns are played in order and the end is an error`() async throws {
        let player = ScriptPlayer(try ModelScript("turns: [{text: one}, {text: two}]"))
        #expect(text(await player.next(for: try conversation(hello))) == "one")
        #expect(text(await player.next(for: try conversation(hello))) == "two")
        let end = text(await player.next(for: try conversation(hello)))
        #expect(end?.hasPrefix("400 scripted model: the script has ended") == true)
    }

    @Test func `a request without tools takes no turn`() async throws {
        let player = ScriptPlayer(try ModelScript("turns: [{text: one}]"))
        #expect(text(await player.next(for: try conversation(hello, tools: "[]"))) == "OK")
        #expect(text(await player.next(for: try conversation(hello))) == "one")
    }

    @Test func `an error that clients retry is played as often as it says`() async throws {
        let player = ScriptPlayer(try ModelScript("turns: [{error: {status: 529, times: 2}}, {text: then}]"))
        #expect(text(await player.next(for: try conversation(hello))) == "529 scripted error")
        #expect(text(await player.next(for: try conversation(hello))) == "529 scripted error")
        #expect(text(await player.next(for: try conversation(hello))) == "then")
    }

    @Test func `a final error stands until something else is asked`() async throws {
        let player = ScriptPlayer(try ModelScript("turns: [{error: {status: 400, message: no}}, {text: then}]"))
        for _ in 0..<10 { #expect(text(await player.next(for: try conversation(hello))) == "400 no") }
        let other = #"[{"role":"user","content":"something else"}]"#
        #expect(text(await player.next(for: try conversation(other))) == "then")
    }

    @Test func `an expectation that is not met names the turn and keeps it`() async throws {
        let player = ScriptPlayer(
            try ModelScript("turns:\n  - text: go\n    expect: {last_tool_result_contains: haiku}\n")
        )
        let none = text(await player.next(for: try conversation(hello)))
        #expect(none?.contains("turn 1 of the script (line 2) expects") == true)
        #expect(none?.contains("there is no tool result") == true)
        let wrong = #"[{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"prose"}]}]}]"#
        #expect(text(await player.next(for: try conversation(wrong)))?.contains("prose") == true)
        let right =
            #"[{"role":"user","content":[{"type":"tool_result","content":"a haiku"}]},{"role":"system","content":"x"}]"#
        #expect(text(await player.next(for: try conversation(right))) == "go")
    }

    @Test func `the user's text is looked for in the newest message that has some`() throws {
        let messages = """
            [{"role":"user","content":"first"},{"role":"assistant","content":"x"},\
            {"role":"user","content":[{"type":"text","text":"second"}]},\
            {"role":"user","content":[{"type":"tool_result","content":"r"}]},{"role":"tool","content":"t"}]
            """
        let conversation = try conversation(messages)
        #expect(conversation.lastUserText == "second")
        #expect(conversation.lastToolResult == "t")
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"model":"m"}"#, #"{"model":"m","messages":[]}"#, #"{"messages":[1]}"#, "{\"a\":",
    ])
    func `a malformed request is refused`(_ body: String) {
        #expect(throws: ScriptedConversation.Malformed.self) { try ScriptedConversation(body: Array(body.utf8)) }
    }

    @Test func `a request nested without end is refused`() {
        let body = [UInt8](repeating: UInt8(ascii: "["), count: 4 << 20)
        #expect(throws: ScriptedConversation.Malformed.self) { try ScriptedConversation(body: body) }
    }
}
