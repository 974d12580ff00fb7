package import JSONSchema
package import Primitives
package import Skills

/// What an agent is asked to do in a box.
package struct AgentTask: Sendable {
    /// Program to start, looked up in the guest's `PATH`.
    package var program: String
    /// What to do where there is no such program in the box.
    package var programHint = "make guest builds the agents' disks"
    package var prompt: String
    /// Carried into the box as `inputFile`; its beginning is quoted in the prompt.
    package var input: String?
    package var inputFile = "/workspace/input.json"
    package var model: String?
    /// For the agent's process only: model endpoint and token, user's variables.
    package var environment: [String: String] = [:]
    package var skills: [SkillBundle] = []
    /// As the box reaches them.
    package var mcpServers: [MCPServer] = []
    /// What the output file must be: JSON that is valid against it.
    package var outputSchema: JSONSchema?
    /// How often the agent is told what is wrong with its output, and goes on.
    package var outputRetries = 2
    package var timeout = Duration.seconds(1200)
    package var outputFile = "/workspace/output.json"
    /// Goes on until it is told to stop, without a limit of time, and writes its output file again and again.
    package var isService = false

    package init(program: String, prompt: String) {
        self.program = program
        self.prompt = prompt
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
    /// Shortened where it is long.
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

    package static func + (a: AgentUsage, b: AgentUsage) -> AgentUsage {
        func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
            let sum = a.addingReportingOverflow(b)
            return sum.overflow ? .max : sum.partialValue
        }
        var total = AgentUsage()
        total.inputTokens = sum(a.inputTokens, b.inputTokens)
        total.outputTokens = sum(a.outputTokens, b.outputTokens)
        total.cacheReadTokens = sum(a.cacheReadTokens, b.cacheReadTokens)
        total.cacheWriteTokens = sum(a.cacheWriteTokens, b.cacheWriteTokens)
        return total
    }
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
    /// The output file's document, where there is a schema and it is valid.
    package var structuredOutput: JSONValue?
    package var warnings: [String] = []
    package var exitCode: Int32?
    package var signal: Int32?
    /// True where its program could not be started at all: another attempt would come to the same.
    package var couldNotStart = false
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
