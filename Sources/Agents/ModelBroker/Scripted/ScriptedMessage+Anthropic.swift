internal import JSONCoding
internal import Primitives

/// Anthropic's Messages API.
extension ScriptedMessage {
    /// The response to a request that does not stream.
    var anthropicDocument: JSONValue {
        var content: [JSONValue] = []
        if !text.isEmpty { content.append(["type": "text", "text": .string(text)]) }
        for use in toolUses {
            content.append(["type": "tool_use", "id": .string(use.id), "name": .string(use.name), "input": use.input])
        }
        return .object(
            anthropicHead.merging(["content": .array(content), "stop_reason": stopReason, "usage": usage]) { $1 }
        )
    }

    /// The events of a stream, in their order, as `(event, data)`.
    var anthropicEvents: [(String, JSONValue)] {
        var start = anthropicHead
        start["usage"] = startUsage
        var events: [(String, JSONValue)] = [
            ("message_start", ["type": "message_start", "message": .object(start)]),
            ("ping", ["type": "ping"]),
        ]
        var index = 0
        func block(_ start: JSONValue, _ deltas: [JSONValue]) {
            let number = JSONValue.integer(Int64(index))
            events.append(
                (
                    "content_block_start",
                    ["type": "content_block_start", "index": number, "content_block": start]
                )
            )
            for delta in deltas {
                events.append(
                    ("content_block_delta", ["type": "content_block_delta", "index": number, "delta": delta])
                )
            }
            events.append(("content_block_stop", ["type": "content_block_stop", "index": number]))
            index += 1
        }
        if !text.isEmpty {
            block(
                ["type": "text", "text": ""],
                textPieces.map { ["type": "text_delta", "text": .string($0)] },
            )
        }
        for use in toolUses {
            let input = String(decoding: use.input.encoded, as: UTF8.self)
            block(
                ["type": "tool_use", "id": .string(use.id), "name": .string(use.name), "input": .object([:])],
                input.pieces(of: 64).map { ["type": "input_json_delta", "partial_json": .string($0)] },
            )
        }
        events.append(
            (
                "message_delta",
                [
                    "type": "message_delta", "delta": ["stop_reason": stopReason, "stop_sequence": .null],
                    "usage": ["output_tokens": .integer(Int64(outputTokens))],
                ]
            )
        )
        events.append(("message_stop", ["type": "message_stop"]))
        return events
    }

    var anthropicStream: [UInt8] {
        var bytes: [UInt8] = []
        for (name, data) in anthropicEvents {
            bytes += Array("event: \(name)\ndata: ".utf8) + data.encoded + Array("\n\n".utf8)
        }
        return bytes
    }

    private var anthropicHead: [String: JSONValue] {
        [
            "id": .string(id), "type": "message", "role": "assistant", "model": .string(model), "content": .array([]),
            "stop_reason": .null, "stop_sequence": .null,
        ]
    }

    private var stopReason: JSONValue { toolUses.isEmpty ? "end_turn" : "tool_use" }

    private var usage: JSONValue {
        [
            "input_tokens": .integer(Int64(inputTokens)), "output_tokens": .integer(Int64(outputTokens)),
            "cache_creation_input_tokens": .integer(Int64(cacheCreationTokens)),
            "cache_read_input_tokens": .integer(Int64(cacheReadTokens)),
        ]
    }

    /// At the start nothing is written yet.
    private var startUsage: JSONValue {
        guard case .object(var members) = usage else { return usage }
        members["output_tokens"] = 1
        return .object(members)
    }
}
