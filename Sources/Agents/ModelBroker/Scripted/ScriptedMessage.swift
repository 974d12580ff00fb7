internal import JSONCoding
internal import Primitives

/// An answer of a scripted model, before it is put in the words of a dialect.
struct ScriptedMessage: Sendable {
    struct ToolUse: Sendable {
        var id: String
        var name: String
        var input: JSONValue
    }

    let id: String
    let model: String
    let text: String
    let toolUses: [ToolUse]
    let inputTokens: Int
    let outputTokens: Int
    let cacheCreationTokens: Int
    let cacheReadTokens: Int

    /// - Parameter number: of the response, from 1; ids are made of it.
    init(_ answer: ModelScript.Answer, number: Int, to conversation: ScriptedConversation) {
        id = "msg_scripted_\(number)"
        model = conversation.model
        var toolUses: [ToolUse] = []
        for (index, use) in answer.toolUses.enumerated() {
            toolUses.append(
                ToolUse(id: "toolu_scripted_\(number)_\(index + 1)", name: use.name, input: .object(use.input))
            )
        }
        self.toolUses = toolUses
        // A response that is only meant to break off needs something to break.
        let filler = answer.cutAfterBytes != nil && toolUses.isEmpty ? "This answer breaks off." : ""
        text = answer.text ?? filler
        let written = text.utf8.count + toolUses.reduce(0) { $0 + $1.name.utf8.count + $1.input.encoded.count }
        inputTokens = answer.usage?.inputTokens ?? conversation.estimatedTokens
        outputTokens = answer.usage?.outputTokens ?? max(written / 4, 1)
        cacheCreationTokens = answer.usage?.cacheCreationInputTokens ?? 0
        cacheReadTokens = answer.usage?.cacheReadInputTokens ?? 0
    }

    /// The text in pieces of about a line, as a model would write it.
    var textPieces: [String] { text.pieces(of: 40) }
}

extension String {
    func pieces(of size: Int) -> [String] {
        var pieces: [String] = []
        var rest = self[...]
        while !rest.isEmpty {
            pieces.append(String(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return pieces
    }
}
