internal import Primitives

/// Where an agent's model calls go. The key stays on this host; the box gets a token of its own.
///
/// The variables `VOIDBOX_LLM_PROVIDER`, `_MODEL`, `_BASE_URL` and `_API_KEY_ENV` of this host win over what is said here.
public struct LLMProvider: Hashable, Sendable {
    private let document: [String: String]

    private init(
        _ provider: String,
        model: String? = nil,
        url: String? = nil,
        keyVariable: String? = nil,
        script: String? = nil,
    ) {
        let entries = [
            "provider": provider, "model": model, "base_url": url, "api_key_env": keyVariable, "script": script,
        ]
        document = entries.compactMapValues(\.self)
    }

    /// Anthropic, with the key in `ANTHROPIC_API_KEY` unless another variable is named.
    public static func claude(model: String? = nil, keyVariable: String? = nil) -> LLMProvider {
        LLMProvider("claude", model: model, keyVariable: keyVariable)
    }

    /// OpenAI, for the agent Codex, with the key in `OPENAI_API_KEY` unless another variable is named.
    public static func codex(model: String? = nil, keyVariable: String? = nil) -> LLMProvider {
        LLMProvider("codex", model: model, keyVariable: keyVariable)
    }

    /// Ollama on this host, or at another address.
    public static func ollama(_ model: String, url: String? = nil) -> LLMProvider {
        LLMProvider("ollama", model: model, url: url)
    }

    /// LM Studio on this host, or at another address.
    public static func lmStudio(_ model: String, url: String? = nil) -> LLMProvider {
        LLMProvider("lm-studio", model: model, url: url)
    }

    /// Any endpoint that speaks Anthropic's Messages API.
    ///
    /// - Parameters:
    ///   - url: Where it is, such as `https://models.example.com`.
    ///   - model: What it calls the model; nil for the agent's own choice.
    ///   - keyVariable: The variable of this host that holds the key; nil for none.
    public static func custom(_ url: String, model: String? = nil, keyVariable: String? = nil) -> LLMProvider {
        LLMProvider("custom", model: model, url: url, keyVariable: keyVariable)
    }

    /// No model: it plays the turns of a file, for tests and for a first look.
    public static func scripted(_ file: String) -> LLMProvider {
        LLMProvider("scripted", script: file)
    }

    var value: JSONValue { .object(document.mapValues { .string($0) }) }
}
