internal import ModelProviders
internal import Testing

@testable internal import ModelBroker

@Suite("SSE parser") struct SSEParserTests {
    private func events(_ text: String, pieces size: Int) -> [SSEParser.Event] {
        var parser = SSEParser()
        var events: [SSEParser.Event] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            parser.consume(rest.prefix(size)) { events.append($0) }
            rest = rest.dropFirst(size)
        }
        return events
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func `events come out the same however the bytes are cut`(_ size: Int) {
        let text =
            "\u{FEFF}: comment\nevent: a\ndata: 1\ndata:2\n\ndata\r\n\r\nevent: empty\n\nid: 7\rdata: ü\r\rdata: lost"
        let expected = [
            SSEParser.Event(name: "a", data: Array("1\n2".utf8)),
            SSEParser.Event(name: "", data: []),
            SSEParser.Event(name: "", data: Array("ü".utf8)),
        ]
        #expect(events(text, pieces: size) == expected)
    }

    @Test func `an event that is too long is skipped and the next is not`() {
        var parser = SSEParser()
        var events: [SSEParser.Event] = []
        parser.consume(Array("data: ".utf8)) { events.append($0) }
        for _ in 0..<3 { parser.consume([UInt8](repeating: 0x78, count: 1 << 20)) { events.append($0) } }
        parser.consume(Array("\ndata: more\n\ndata: next\n\n".utf8)) { events.append($0) }
        #expect(events == [SSEParser.Event(name: "", data: Array("next".utf8))])
        #expect(parser.skippedEvents == 1)
    }
}

@Suite("Response meter") struct ResponseMeterTests {
    private func stream(_ text: String, pieces size: Int = 5) -> (UsageReading, ResponseMeter) {
        var meter = ResponseMeter(contentType: "text/event-stream; charset=utf-8", contentEncoding: nil, isError: false)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            meter.consume(rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        let reading = meter.finish()
        return (reading, meter)
    }

    @Test func `an Anthropic stream is read at its start and its end`() {
        let (reading, meter) = stream(
            """
            event: message_start
            data: {"type":"message_start","message":{"id":"m","model":"claude-sonnet-4-5","usage":{"input_tokens":25,\
            "cache_creation_input_tokens":30,"cache_read_input_tokens":7,"output_tokens":1,\
            "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}}}}

            event: content_block_delta
            data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"the word \\"usage\\" alone"}}

            event: message_delta
            data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}

            event: message_stop
            data: {"type":"message_stop"}


            """
        )
        #expect(reading.model == "claude-sonnet-4-5")
        #expect(reading.tokens == TokenCount(input: 25, output: 15, cacheWrite: 10, cacheWriteLong: 20, cacheRead: 7))
        #expect(!meter.isTruncatedStream)
    }

    @Test func `totals at the end replace those at the start`() {
        let (reading, _) = stream(
            """
            event: message_start
            data: {"message":{"model":"m","usage":{"input_tokens":1,"cache_creation_input_tokens":3,"output_tokens":1}}}

            event: message_delta
            data: {"usage":{"input_tokens":2,"cache_creation_input_tokens":4,"output_tokens":9}}


            """
        )
        #expect(reading.tokens == TokenCount(input: 2, output: 9, cacheWrite: 4))
    }

    @Test func `an OpenAI stream is read where it says so`() {
        let (reading, meter) = stream(
            """
            data: {"model":"gpt","choices":[{"delta":{"content":"x"}}],"usage":null}

            data: {"model":"gpt","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,\
            "prompt_tokens_details":{"cached_tokens":2}}}

            data: [DONE]


            """
        )
        #expect(reading.model == "gpt")
        #expect(reading.tokens == TokenCount(input: 10, output: 3, cacheRead: 2))
        #expect(!meter.isTruncatedStream)
    }

    @Test func `a stream without its end is truncated`() {
        let (_, meter) = stream("event: message_start\ndata: {\"message\":{}}\n\n")
        #expect(meter.isTruncatedStream)
    }

    @Test(arguments: [
        "{}", "[]", "null", "{", "", #"{"usage":"many"}"#, #"{"usage":{"input_tokens":"1"}}"#,
        #"{"usage":{"input_tokens":1e99}}"#, #"{"message":[1],"usage":[]}"#,
    ])
    func `a response that says nothing sensible has no tokens`(_ text: String) {
        var meter = ResponseMeter(contentType: "application/json", contentEncoding: nil, isError: false)
        meter.consume(Array(text.utf8))
        #expect(!meter.finish().hasTokens)
    }

    @Test func `negative counts are none`() {
        var reading = UsageReading()
        reading.take(json: Array(#"{"model":"m","usage":{"input_tokens":-5,"output_tokens":3}}"#.utf8))
        #expect(reading.tokens == TokenCount(input: 0, output: 3))
    }

    @Test func `what is compressed or too long is not read`() {
        let document = Array(#"{"usage":{"input_tokens":5}}"#.utf8)
        var compressed = ResponseMeter(contentType: "application/json", contentEncoding: "gzip", isError: false)
        compressed.consume(document)
        #expect(!compressed.finish().hasTokens)
        var long = ResponseMeter(contentType: "application/json", contentEncoding: nil, isError: false)
        long.consume([UInt8](repeating: 0x20, count: ResponseMeter.maxDocumentSize))
        long.consume(document)
        #expect(!long.finish().hasTokens)
        #expect(long.byteCount == ResponseMeter.maxDocumentSize + document.count)
    }
}

@Suite("Usage ledger") struct UsageLedgerTests {
    @Test func `an unknown model makes the cost unknown, and a free provider makes it zero`() throws {
        let environment = ["ANTHROPIC_API_KEY": "k"]
        let paid = UsageLedger(try ModelProvider(ModelSettings(), environment: environment))
        let free = UsageLedger(try ModelProvider(ModelSettings(provider: "ollama"), environment: [:]))
        var reading = UsageReading()
        reading.take(json: Array(#"{"model":"qwen","usage":{"input_tokens":5}}"#.utf8))
        paid.metered(reading, mustHaveTokens: true)
        free.metered(reading, mustHaveTokens: true)
        #expect(paid.usage.cost == nil)
        #expect(paid.usage.tokens.input == 5)
        #expect(free.usage.cost == 0)
    }

    @Test func `an answer without tokens is counted as unmetered`() throws {
        let ledger = UsageLedger(try ModelProvider(ModelSettings(provider: "ollama"), environment: [:]))
        ledger.metered(UsageReading(), mustHaveTokens: true)
        ledger.metered(UsageReading(), mustHaveTokens: false)
        #expect(ledger.usage.unmetered == 1)
        #expect(ledger.usage.cost == nil)
    }

    @Test func `made-up model names do not fill memory`() throws {
        let ledger = UsageLedger(try ModelProvider(ModelSettings(provider: "ollama"), environment: [:]))
        for number in 0..<1000 {
            var reading = UsageReading()
            reading.take(json: Array(#"{"model":"m\#(number)","usage":{"input_tokens":1}}"#.utf8))
            ledger.metered(reading, mustHaveTokens: true)
        }
        #expect(ledger.usage.models.count == 65)
        #expect(ledger.usage.tokens.input == 1000)
    }
}
