package import Primitives

extension ModelProvider {
    /// Variables for an agent that speaks OpenAI's API, such as Codex.
    ///
    /// - Parameter tokenVariable: The variable that the agent's configuration names for the token.
    package func openAIEnvironment(
        baseURL: String,
        token: Secret<String>,
        tokenVariable: String,
    ) -> [String: String] {
        ["OPENAI_BASE_URL": "\(baseURL)/v1", tokenVariable: token.reveal()]
    }

    /// Variables for an agent that speaks Anthropic's API, such as Claude Code.
    ///
    /// - Parameters:
    ///   - baseURL: the broker's address as the guest sees it.
    ///   - token: the box's token, which stands where the key would: the real key never enters the guest.
    package func guestEnvironment(baseURL: String, token: Secret<String>) -> [String: String] {
        var environment = [
            "ANTHROPIC_BASE_URL": baseURL,
            "ANTHROPIC_AUTH_TOKEN": token.reveal(),
            // Only the model's endpoint can be reached through the broker.
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        ]
        guard let model else { return environment }
        environment["ANTHROPIC_MODEL"] = model
        if kind != .claude, kind != .claudePersonal {
            // Side tasks, such as titles, would otherwise ask for models that only Anthropic has.
            for variable in ["HAIKU", "SONNET", "OPUS"] { environment["ANTHROPIC_DEFAULT_\(variable)_MODEL"] = model }
        }
        return environment
    }
}
