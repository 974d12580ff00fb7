internal import JSONCoding
internal import Primitives

/// Decides which turn a request gets. Actor: requests that come at the same time get turns one after the other.
actor ScriptPlayer {
    enum Play: Hashable, Sendable {
        case answer(ModelScript.Answer, turn: Int, delay: Duration)
        case error(ModelScript.Failure, delay: Duration)
    }

    /// Answered to requests without tools, which take no turn.
    static let asideAnswer = ModelScript.Answer(text: "OK")

    private let script: ModelScript
    private var position = 0
    /// How often the turn at `position` was played, if it is an error that is played more than once.
    private var repeats = 0
    /// The conversation that got an error which stands for as long as the same is asked.
    private var standing: JSONValue?

    init(_ script: ModelScript) {
        self.script = script
    }

    func next(for conversation: ScriptedConversation) -> Play {
        guard conversation.hasTools else { return .answer(Self.asideAnswer, turn: 0, delay: .zero) }
        if let standing, standing != conversation.messages { advance() }
        guard position < script.turns.count else {
            return refuse("the script has ended: it has \(script.turns.count) turns, and this request needs one more")
        }
        let turn = script.turns[position]
        if let mismatch = turn.expectation.mismatch(with: conversation) {
            return refuse("turn \(position + 1) of the script (line \(turn.line)) expects \(mismatch)")
        }
        switch turn.action {
        case .answer(let answer):
            advance()
            return .answer(answer, turn: position, delay: turn.delay)
        case .error(let failure):
            if let times = failure.times {
                repeats += 1
                if repeats >= times { advance() }
            } else {
                standing = conversation.messages
            }
            return .error(failure, delay: turn.delay)
        }
    }

    private func advance() {
        position += 1
        repeats = 0
        standing = nil
    }

    /// An error that no client asks again after, and that ends the run: a script that does not fit must be seen.
    private func refuse(_ message: String) -> Play {
        .error(
            ModelScript.Failure(status: 400, type: "invalid_request_error", message: "scripted model: \(message)"),
            delay: .zero,
        )
    }
}

extension ModelScript.Expectation {
    /// What is missing, in words; nil where all is there.
    fileprivate func mismatch(with conversation: ScriptedConversation) -> String? {
        if let wanted = lastToolResultContains {
            guard let result = conversation.lastToolResult else {
                return "a tool result with \"\(wanted)\", but there is no tool result"
            }
            guard result.contains(wanted) else {
                return "a tool result with \"\(wanted)\", but it is \"\(result.prefix(200))\""
            }
        }
        if let wanted = requestContains, !conversation.messages.encoded.contains(sequence: Array(wanted.utf8)) {
            return "\"\(wanted)\" in the conversation, but it is not there"
        }
        if let wanted = lastUserTextContains {
            let text = conversation.lastUserText ?? ""
            guard text.contains(wanted) else { return "\"\(wanted)\" in the user's text, but it is not there" }
        }
        return nil
    }
}
