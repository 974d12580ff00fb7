internal import JSONCoding
internal import Primitives

/// OpenAI's Chat Completions API.
extension ScriptedMessage {
    /// The response to a request that does not stream.
    var openAIDocument: JSONValue {
        var message: [String: JSONValue] = [
            "role": "assistant", "content": text.isEmpty ? .null : .string(text), "refusal": .null,
        ]
        if !toolUses.isEmpty {
            message["tool_calls"] = .array(toolUses.map { call($0, arguments: $0.arguments) })
        }
        return .object(
            openAIHead("chat.completion").merging([
                "choices": .array([
                    ["index": 0, "message": .object(message), "finish_reason": finishReason, "logprobs": .null]
                ]),
                "usage": openAIUsage,
            ]) { $1 }
        )
    }

    /// - Parameter withUsage: as `stream_options.include_usage` asks for.
    func openAIStream(withUsage: Bool) -> [UInt8] {
        var deltas: [(JSONValue, JSONValue)] = [(["role": "assistant", "content": ""], .null)]
        for piece in textPieces { deltas.append((["content": .string(piece)], .null)) }
        for (index, use) in toolUses.enumerated() {
            let number = JSONValue.integer(Int64(index))
            deltas.append((["tool_calls": .array([call(use, arguments: "", index: number)])], .null))
            for piece in use.arguments.pieces(of: 64) {
                let part: JSONValue = ["index": number, "function": ["arguments": .string(piece)]]
                deltas.append((["tool_calls": .array([part])], .null))
            }
        }
        deltas.append((.object([:]), finishReason))

        let head = openAIHead("chat.completion.chunk")
        var chunks = deltas.map { delta, reason in
            let choice: JSONValue = ["index": 0, "delta": delta, "finish_reason": reason, "logprobs": .null]
            return head.merging(["choices": .array([choice])]) { $1 }
        }
        if withUsage { chunks.append(head.merging(["choices": .array([]), "usage": openAIUsage]) { $1 }) }
        var bytes: [UInt8] = []
        for chunk in chunks { bytes += Array("data: ".utf8) + JSONValue.object(chunk).encoded + Array("\n\n".utf8) }
        return bytes + Array("data: [DONE]\n\n".utf8)
    }

    private func openAIHead(_ kind: String) -> [String: JSONValue] {
        // A script has no clock: the same script gives the same bytes.
        ["id": .string(id), "object": .string(kind), "created": 0, "model": .string(model)]
    }

    private var finishReason: JSONValue { toolUses.isEmpty ? "stop" : "tool_calls" }

    private var openAIUsage: JSONValue {
        let prompt = inputTokens + cacheCreationTokens + cacheReadTokens
        return [
            "prompt_tokens": .integer(Int64(prompt)), "completion_tokens": .integer(Int64(outputTokens)),
            "total_tokens": .integer(Int64(prompt + outputTokens)),
            "prompt_tokens_details": ["cached_tokens": .integer(Int64(cacheReadTokens))],
        ]
    }

    private func call(_ use: ToolUse, arguments: String, index: JSONValue? = nil) -> JSONValue {
        var call: [String: JSONValue] = [
            "id": .string(use.id), "type": "function",
            "function": ["name": .string(use.name), "arguments": .string(arguments)],
        ]
        call["index"] = index
        return .object(call)
    }
}

extension ScriptedMessage.ToolUse {
    fileprivate var arguments: String { String(decoding: input.encoded, as: UTF8.self) }
}
