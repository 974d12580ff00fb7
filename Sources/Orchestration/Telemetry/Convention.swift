/// Names of attributes. Those of agents and models are OpenTelemetry's
/// [semantic conventions for generative AI](https://opentelemetry.io/docs/specs/semconv/gen-ai/); what they have no name for is
/// `voidbox.`. `docs/telemetry.md` has the same table.
package enum Convention {
    // MARK: Generative AI

    package static let operation = "gen_ai.operation.name"
    package static let provider = "gen_ai.provider.name"
    package static let agent = "gen_ai.agent.name"
    package static let conversation = "gen_ai.conversation.id"
    package static let requestModel = "gen_ai.request.model"
    package static let responseModel = "gen_ai.response.model"
    package static let inputTokens = "gen_ai.usage.input_tokens"
    package static let outputTokens = "gen_ai.usage.output_tokens"
    package static let cacheReadTokens = "gen_ai.usage.cache_read.input_tokens"
    package static let cacheWriteTokens = "gen_ai.usage.cache_creation.input_tokens"
    package static let tokenType = "gen_ai.token.type"
    package static let tool = "gen_ai.tool.name"
    package static let toolCall = "gen_ai.tool.call.id"
    package static let toolType = "gen_ai.tool.type"
    package static let toolArguments = "gen_ai.tool.call.arguments"
    package static let toolResult = "gen_ai.tool.call.result"
    package static let errorType = "error.type"

    package static let invokeAgent = "invoke_agent"
    package static let executeTool = "execute_tool"

    /// What the conventions call whose model it is.
    ///
    /// - Parameter word: `llm.provider` of a specification.
    package static func providerName(_ word: String) -> String {
        switch word {
        case "claude", "claude-personal": "anthropic"
        case "codex": "openai"
        default: word
        }
    }

    // MARK: VoidBox

    package static let run = "voidbox.run.name"
    package static let kind = "voidbox.run.kind"
    package static let box = "voidbox.box"
    package static let backend = "voidbox.backend"
    package static let isolated = "voidbox.isolated"
    package static let stage = "voidbox.stage"
    package static let step = "voidbox.step"
    package static let attempt = "voidbox.attempt"
    package static let cost = "voidbox.cost_usd"
    package static let turns = "voidbox.agent.turns"
    package static let toolCount = "voidbox.agent.tool_calls"
    package static let program = "process.executable.name"
    package static let exitCode = "process.exit.code"
}
