internal import JSONCoding
internal import Primitives

/// What a scripted model looks at in a request.
struct ScriptedConversation: Sendable {
    let model: String
    let isStreaming: Bool
    /// A request without tools is one of the small ones that agents make on the side.
    let hasTools: Bool
    /// OpenAI's clients say whether they want to hear about tokens in a stream.
    let wantsStreamUsage: Bool
    let messages: JSONValue
    let size: Int

    struct Malformed: Error {
        let message: String
    }

    /// - Parameter isResponses: True for OpenAI's Responses API, where the messages are `input`, text or a list of items.
    init(body: [UInt8], isResponses: Bool = false) throws(Malformed) {
        guard let document = try? JSONValue(decoding: body), document.objectValue != nil else {
            throw Malformed(message: "the request's body is no JSON object")
        }
        let key = isResponses ? "input" : "messages"
        var messages = document[key]
        if isResponses, case .string? = messages {
            messages = .array([.object(["role": "user", "content": messages ?? .null])])
        }
        guard let messages, let list = messages.arrayValue, !list.isEmpty else {
            throw Malformed(message: "\(key): must be a list with at least one message")
        }
        guard let model = document["model"]?.stringValue, !model.isEmpty else {
            throw Malformed(message: "model: must be the name of a model")
        }
        self.model = model
        self.messages = messages
        isStreaming = document["stream"]?.boolValue ?? false
        hasTools = !(document["tools"]?.arrayValue ?? []).isEmpty
        wantsStreamUsage = document["stream_options"]?["include_usage"]?.boolValue ?? false
        size = body.count
    }

    /// About four bytes make a token.
    var estimatedTokens: Int { max(size / 4, 1) }

    /// The newest tool result: a `tool_result` block, a message of the role `tool`, or an item `function_call_output`.
    var lastToolResult: String? {
        for message in (messages.arrayValue ?? []).reversed() {
            if message["role"]?.stringValue == "tool" { return Self.text(message["content"]) }
            if let type = message["type"]?.stringValue, type.hasSuffix("_call_output") {
                return Self.text(message["output"])
            }
            for block in (message["content"]?.arrayValue ?? []).reversed()
            where block["type"]?.stringValue == "tool_result" {
                return Self.text(block["content"])
            }
        }
        return nil
    }

    /// The text of the newest message of the user that has some.
    var lastUserText: String? {
        for message in (messages.arrayValue ?? []).reversed() where message["role"]?.stringValue == "user" {
            let text = Self.text(message["content"])
            if !text.isEmpty { return text }
        }
        return nil
    }

    /// A string, or the text blocks of a list joined.
    private static func text(_ content: JSONValue?) -> String {
        if let text = content?.stringValue { return text }
        return (content?.arrayValue ?? []).compactMap { $0["text"]?.stringValue }.joined(separator: "\n")
    }
}
