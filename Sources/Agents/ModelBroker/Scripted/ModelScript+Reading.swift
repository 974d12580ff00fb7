internal import LinuxSystem
internal import Primitives

extension ModelScript {
    init(readingFrom path: String) throws(ModelScriptError) {
        do throws(ModelScriptError) {
            let bytes: [UInt8]
            do throws(SyscallError) {
                bytes = try FileSystem.read(path, limit: YAMLReader.maxDocumentSize)
            } catch {
                throw ModelScriptError("cannot be read: \(error)")
            }
            guard let text = String(validating: bytes, as: UTF8.self) else { throw ModelScriptError("is not UTF-8") }
            try self.init(text)
        } catch {
            var error = error
            error.file = path
            throw error
        }
    }

    /// Parses a script and checks all of it before the first turn is played.
    init(_ text: String) throws(ModelScriptError) {
        guard text.utf8.count <= YAMLReader.maxDocumentSize else {
            throw ModelScriptError("is larger than \(ByteCount(bytes: UInt64(YAMLReader.maxDocumentSize)))")
        }
        let root = try YAMLReader(document: text)
        let members = try root.members(known: ["turns"])
        guard let list = members["turns"] else { throw root.failure("the key turns is missing") }
        var turns: [Turn] = []
        for element in try list.elements() { turns.append(try Turn(element)) }
        guard !turns.isEmpty else { throw list.failure("must have at least one turn") }
        self.turns = turns
    }
}

extension ModelScript.Turn {
    private static let keys = ["text", "tool_use", "usage", "delay_ms", "expect", "error", "cut_after_bytes"]

    fileprivate init(_ reader: YAMLReader) throws(ModelScriptError) {
        let members = try reader.members(known: Self.keys)
        line = reader.line
        if let delay = members["delay_ms"] { self.delay = .milliseconds(try delay.integer(in: 0...600_000)) }
        if let expect = members["expect"] { expectation = try ModelScript.Expectation(expect) }
        if let error = members["error"] {
            for key in ["text", "tool_use", "usage", "cut_after_bytes"] {
                if let other = members[key] { throw other.failure("cannot stand beside error") }
            }
            action = .error(try ModelScript.Failure(error))
            return
        }
        var answer = ModelScript.Answer()
        if let text = members["text"] { answer.text = try text.string() }
        if let use = members["tool_use"] {
            for element in use.isSequence ? try use.elements() : [use] {
                answer.toolUses.append(try ModelScript.ToolUse(element))
            }
            if answer.toolUses.isEmpty { throw use.failure("must have at least one use") }
        }
        if let usage = members["usage"] { answer.usage = try ModelScript.Usage(usage) }
        if let cut = members["cut_after_bytes"] { answer.cutAfterBytes = try cut.integer(in: 0...1_000_000) }
        guard answer.text != nil || !answer.toolUses.isEmpty || answer.cutAfterBytes != nil else {
            throw reader.failure("a turn needs text, tool_use, error or cut_after_bytes")
        }
        action = .answer(answer)
    }
}

extension ModelScript.ToolUse {
    fileprivate init(_ reader: YAMLReader) throws(ModelScriptError) {
        let members = try reader.members(known: ["name", "input"])
        guard let name = members["name"] else { throw reader.failure("the key name is missing") }
        self.name = try name.string()
        guard !self.name.isEmpty else { throw name.failure("must not be empty") }
        guard let input = members["input"] else {
            self.input = [:]
            return
        }
        guard case .object(let values) = try input.json() else { throw input.failure("must be a mapping") }
        self.input = values
    }
}

extension ModelScript.Usage {
    fileprivate init(_ reader: YAMLReader) throws(ModelScriptError) {
        let range = 0...1_000_000_000
        let members = try reader.members(
            known: ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
        )
        inputTokens = try members["input_tokens"]?.integer(in: range)
        outputTokens = try members["output_tokens"]?.integer(in: range)
        cacheCreationInputTokens = try members["cache_creation_input_tokens"]?.integer(in: range)
        cacheReadInputTokens = try members["cache_read_input_tokens"]?.integer(in: range)
    }
}

extension ModelScript.Failure {
    fileprivate init(_ reader: YAMLReader) throws(ModelScriptError) {
        let members = try reader.members(known: ["status", "type", "message", "times"])
        guard let status = members["status"] else { throw reader.failure("the key status is missing") }
        self.status = try status.integer(in: 400...599)
        type = try members["type"]?.string() ?? ModelDialect.errorType(for: self.status)
        message = try members["message"]?.string() ?? "scripted error"
        // Clients ask again after these: once is then enough. After any other they give up, or try the same with fewer
        // features, and must not get the next turn for it.
        let isRetried = [408, 409, 429].contains(self.status) || self.status >= 500
        times = try members["times"]?.integer(in: 1...1000) ?? (isRetried ? 1 : nil)
    }
}

extension ModelScript.Expectation {
    fileprivate init(_ reader: YAMLReader) throws(ModelScriptError) {
        let members = try reader.members(known: [
            "last_tool_result_contains", "last_user_text_contains", "request_contains",
        ])
        lastToolResultContains = try members["last_tool_result_contains"]?.string()
        lastUserTextContains = try members["last_user_text_contains"]?.string()
        requestContains = try members["request_contains"]?.string()
    }
}
