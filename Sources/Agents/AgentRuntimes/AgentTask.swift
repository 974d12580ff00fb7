package import Primitives

/// What an agent is asked to do in a box.
package struct AgentTask: Sendable {
    /// Program to start, looked up in the guest's `PATH`.
    package var program: String
    package var prompt: String
    /// Carried into the box as `inputFile`; its beginning is quoted in the prompt.
    package var input: String?
    package var inputFile = "/workspace/input.json"
    package var model: String?
    /// For the agent's process only: model endpoint and token, user's variables.
    package var environment: [String: String] = [:]
    package var skills: [ProvisionedSkill] = []
    package var timeout = Duration.seconds(1200)
    package var outputFile = "/workspace/output.json"

    package init(program: String, prompt: String) {
        self.program = program
        self.prompt = prompt
    }
}

/// A skill as the agent finds it: `skills/<name>/SKILL.md` in its own directory.
package struct ProvisionedSkill: Hashable, Sendable {
    package let name: String
    package let content: String

    /// Adds the front matter that the Agent Skills specification demands where the content has none.
    ///
    /// - Parameter name: Of the characters a-z, 0-9 and -: it is the name of a directory.
    package init(name: String, content: String) {
        self.name = name
        if content.hasPrefix("---\n") || content.hasPrefix("---\r\n") {
            self.content = content
        } else {
            let lines = content.split(whereSeparator: \.isNewline)
            let summary = lines.first { !$0.allSatisfy(\.isWhitespace) && !$0.hasPrefix("#") } ?? "A skill"
            let (name, description) = (Self.quoted(name[...]), Self.quoted(summary.prefix(200)))
            self.content = "---\nname: \(name)\ndescription: \(description)\n---\n\n\(content)"
        }
    }

    /// As text of YAML whatever it looks like, on one line.
    private static func quoted(_ text: Substring) -> String {
        let escaped = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case _ where scalar.properties.generalCategory == .control || scalar == "\u{2028}" || scalar == "\u{2029}":
                " "
            default: String(scalar)
            }
        }
        return "\"\(escaped.joined())\""
    }
}

/// What happens while an agent works, for people who watch.
package enum AgentEvent: Hashable, Sendable {
    case started(session: String?, model: String?)
    case text(String)
    case toolStarted(id: String, name: String, summary: String)
    case toolFinished(id: String, name: String, isError: Bool, output: String)
    case stderr(String)
    case warning(String)
}

package struct AgentToolCall: Hashable, Sendable {
    package var id: String
    package var name: String
    package var input: JSONValue
    /// At most 2000 characters; nil while there is no result.
    package var output: String?
    package var isError = false
}

package struct AgentUsage: Hashable, Sendable {
    package var inputTokens: UInt64 = 0
    package var outputTokens: UInt64 = 0
    package var cacheReadTokens: UInt64 = 0
    package var cacheWriteTokens: UInt64 = 0

    package init() {}
}

/// What an agent came to.
package struct AgentResult: Sendable {
    package var text = ""
    package var model: String?
    package var sessionID: String?
    /// What the agent itself says that it cost, in US dollars.
    package var costUSD: Double?
    package var turns = 0
    package var usage = AgentUsage()
    package var toolCalls: [AgentToolCall] = []
    package var failure: AgentFailure?
    package var outputFile: [UInt8]?
    package var warnings: [String] = []
    package var exitCode: Int32?
    package var signal: Int32?
    package var duration = Duration.zero

    package init() {}
}

/// Why an agent did not succeed, and what to try.
package struct AgentFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package let message: String
    package let hint: String?

    package init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }

    package var description: String { hint.map { "\(message); \($0)" } ?? message }
}
