internal import Primitives

/// The turns that a scripted model plays, in order. See docs/scripted-models.md.
struct ModelScript: Hashable, Sendable {
    var turns: [Turn]

    struct Turn: Hashable, Sendable {
        /// Where it stands in the file, from 1.
        var line: Int
        var action: Action
        var delay = Duration.zero
        var expectation = Expectation()
    }

    enum Action: Hashable, Sendable {
        case answer(Answer)
        case error(Failure)
    }

    struct Answer: Hashable, Sendable {
        var text: String?
        var toolUses: [ToolUse] = []
        var usage: Usage?
        /// The connection breaks after so many bytes of the response's body.
        var cutAfterBytes: Int?
    }

    struct ToolUse: Hashable, Sendable {
        var name: String
        var input: [String: JSONValue]
    }

    struct Usage: Hashable, Sendable {
        var inputTokens: Int?
        var outputTokens: Int?
        var cacheCreationInputTokens: Int?
        var cacheReadInputTokens: Int?
    }

    struct Failure: Hashable, Sendable {
        var status: Int
        var type: String
        var message: String
        /// How many requests get this answer; nil for as long as the same conversation is asked again.
        var times: Int?
    }

    /// What the request must look like for the turn to be played.
    struct Expectation: Hashable, Sendable {
        var lastToolResultContains: String?
        var lastUserTextContains: String?
        /// Anywhere in the conversation.
        var requestContains: String?
    }
}
