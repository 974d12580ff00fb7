internal import JSONCoding
internal import Primitives

/// OpenAI's Responses API.
extension ScriptedMessage {
    /// The response to a request that does not stream.
    var responsesDocument: JSONValue { response("completed", items) }

    var responsesStream: [UInt8] {
        var events: [(String, [String: JSONValue])] = [("response.created", ["response": response("in_progress", [])])]
        for (index, item) in items.enumerated() {
            let place: [String: JSONValue] = ["output_index": .integer(Int64(index))]
            events.append(("response.output_item.added", place.merging(["item": item]) { $1 }))
            if item["type"]?.stringValue == "message" {
                for piece in textPieces {
                    let delta: [String: JSONValue] = [
                        "item_id": item["id"] ?? .null, "content_index": 0, "delta": .string(piece),
                    ]
                    events.append(("response.output_text.delta", place.merging(delta) { $1 }))
                }
            }
            events.append(("response.output_item.done", place.merging(["item": item]) { $1 }))
        }
        events.append(("response.completed", ["response": responsesDocument]))
        var bytes: [UInt8] = []
        for (number, (name, members)) in events.enumerated() {
            let head: [String: JSONValue] = ["type": .string(name), "sequence_number": .integer(Int64(number))]
            bytes += Array("event: \(name)\ndata: ".utf8) + JSONValue.object(members.merging(head) { $1 }).encoded
            bytes += Array("\n\n".utf8)
        }
        return bytes
    }

    private func response(_ status: String, _ output: [JSONValue]) -> JSONValue {
        var document: [String: JSONValue] = [
            // A script has no clock: the same script gives the same bytes.
            "id": .string(id), "object": "response", "created_at": 0, "model": .string(model),
            "status": .string(status), "output": .array(output), "error": .null,
        ]
        if status == "completed" {
            let input = inputTokens + cacheCreationTokens + cacheReadTokens
            document["usage"] = [
                "input_tokens": .integer(Int64(input)), "output_tokens": .integer(Int64(outputTokens)),
                "total_tokens": .integer(Int64(input + outputTokens)),
                "input_tokens_details": ["cached_tokens": .integer(Int64(cacheReadTokens))],
                "output_tokens_details": ["reasoning_tokens": 0],
            ]
        }
        return .object(document)
    }

    private var items: [JSONValue] {
        var items: [JSONValue] = []
        if !text.isEmpty {
            items.append([
                "type": "message", "id": .string("\(id)_text"), "role": "assistant", "status": "completed",
                "content": .array([["type": "output_text", "text": .string(text), "annotations": .array([])]]),
            ])
        }
        for use in toolUses {
            let arguments = String(decoding: use.input.encoded, as: UTF8.self)
            items.append([
                "type": "function_call", "id": .string("\(use.id)_item"), "call_id": .string(use.id),
                "name": .string(use.name), "arguments": .string(arguments), "status": "completed",
            ])
        }
        return items
    }
}
