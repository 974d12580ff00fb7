package import Primitives

/// Where a box's model calls go: the endpoint, its key, its model. The real key stays on the host.
package struct ModelProvider: Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        /// Anthropic's own endpoint, with an API key.
        case claude
        /// Anthropic's own endpoint, with the login of Claude Code on this host instead of a key.
        case claudePersonal = "claude-personal"
        /// OpenAI's own endpoint, with an API key: for Codex.
        case codex
        /// Any endpoint that speaks Anthropic's Messages API.
        case custom
        case lmStudio = "lm-studio"
        case ollama
        /// Turns from a file, played inside the host process: for tests and demonstrations.
        case scripted
    }

    package enum Source: Sendable {
        case endpoint(ModelEndpoint)
        /// Path of the YAML file with the turns.
        case script(path: String)
    }

    package let kind: Kind
    package let source: Source
    /// Applied for every provider; nil leaves the choice to the agent.
    package let model: String?

    /// Resolves what a spec says about its model.
    ///
    /// - Parameter environment: the host's variables, where the key is looked up.
    package init(_ settings: ModelSettings, environment: [String: String]) throws(ModelProviderError) {
        kind = try Kind(word: settings.provider)
        if let model = settings.model, model.isEmpty { throw .emptyModel }
        model = settings.model ?? kind.defaultModel

        if kind == .scripted {
            guard let script = settings.script, !script.isEmpty else { throw .missingScript }
            if settings.baseURL != nil { throw .notForProvider(key: "base_url", provider: kind.rawValue) }
            if settings.apiKeyEnv != nil { throw .notForProvider(key: "api_key_env", provider: kind.rawValue) }
            source = .script(path: script)
            return
        }
        if settings.script != nil { throw .notForProvider(key: "script", provider: kind.rawValue) }
        // A login is for Anthropic's endpoint; a specification of somebody else's could name another.
        if kind == .claudePersonal {
            if settings.baseURL != nil { throw .notForProvider(key: "base_url", provider: kind.rawValue) }
            if settings.apiKeyEnv != nil { throw .notForProvider(key: "api_key_env", provider: kind.rawValue) }
        }
        guard let address = settings.baseURL ?? kind.defaultBaseURL else {
            throw .missingBaseURL(provider: kind.rawValue)
        }
        source = .endpoint(
            ModelEndpoint(
                url: try EndpointURL(address),
                credential: try kind.credential(named: settings.apiKeyEnv, in: environment),
            )
        )
    }

    /// True where running a model costs no money per token.
    package var isFree: Bool {
        switch kind {
        case .lmStudio, .ollama, .scripted: true
        case .claude, .claudePersonal, .codex, .custom: false
        }
    }

    /// What the owner of the key should know before it is sent; nil where there is nothing to say.
    package var warning: String? {
        guard case .endpoint(let endpoint) = source, !endpoint.url.isEncrypted, !endpoint.url.isLoopback else {
            return nil
        }
        switch endpoint.credential {
        case .none: return nil
        case .apiKey, .apiKeyAndBearer, .bearer, .login:
            return
                "the model's key goes to \(endpoint.url) over plain http, where anyone on the way can read it; use https"
        }
    }

    /// A failure for people, with what to look at where the model is a program of their own.
    package func describe(_ failure: ModelFailure) -> String {
        guard case .unreachable = failure.reason else { return failure.description }
        switch kind {
        case .ollama: return "\(failure); is ollama running?"
        case .lmStudio: return "\(failure); is LM Studio's server running?"
        case .custom: return "\(failure); is llm.base_url right, and does it run?"
        case .claude, .claudePersonal, .codex, .scripted: return failure.description
        }
    }

    /// US dollars for the tokens of one response; nil where the price of the model is not known.
    package func cost(of tokens: TokenCount, model: String) -> Double? {
        isFree ? 0 : ModelPrice(model: model, promptTokens: tokens.prompt)?.cost(of: tokens)
    }
}

/// The `llm` section of a spec.
package struct ModelSettings: Hashable, Sendable {
    package var provider: String
    package var model: String?
    package var baseURL: String?
    /// Name of the host's variable that holds the key.
    package var apiKeyEnv: String?
    /// Path of the script of the `scripted` provider.
    package var script: String?

    package init(
        provider: String = "claude",
        model: String? = nil,
        baseURL: String? = nil,
        apiKeyEnv: String? = nil,
        script: String? = nil,
    ) {
        self.provider = provider
        self.model = model
        self.baseURL = baseURL
        self.apiKeyEnv = apiKeyEnv
        self.script = script
    }
}

package struct ModelEndpoint: Sendable {
    package let url: EndpointURL
    package let credential: ModelCredential

    package init(url: EndpointURL, credential: ModelCredential) {
        self.url = url
        self.credential = credential
    }
}

/// How the broker proves itself to an endpoint.
package enum ModelCredential: Sendable {
    case none
    /// `x-api-key`, as Anthropic wants it.
    case apiKey(Secret<String>)
    /// `Authorization: Bearer`, as OpenAI wants it.
    case bearer(Secret<String>)
    /// `x-api-key` and `Authorization: Bearer`: compatible endpoints read one or the other.
    case apiKeyAndBearer(Secret<String>)
    /// The token of a login with Anthropic, as a bearer.
    case login(Secret<String>)

    /// The key itself, whatever it is sent as.
    package var secret: Secret<String>? {
        switch self {
        case .none: nil
        case .apiKey(let key), .apiKeyAndBearer(let key), .bearer(let key), .login(let key): key
        }
    }
}

extension ModelProvider.Kind {
    package init(word: String) throws(ModelProviderError) {
        guard let kind = Self(rawValue: word) else {
            throw .unknownProvider(word, known: Self.allCases.map(\.rawValue))
        }
        self = kind
    }

    fileprivate var defaultBaseURL: String? {
        switch self {
        case .claude, .claudePersonal: "https://api.anthropic.com"
        case .codex: "https://api.openai.com"
        case .lmStudio: "http://127.0.0.1:1234"
        case .ollama: "http://127.0.0.1:11434"
        case .custom, .scripted: nil
        }
    }

    fileprivate var defaultModel: String? {
        self == .ollama ? "qwen3-coder:7b" : nil
    }

    fileprivate func credential(
        named variable: String?,
        in environment: [String: String],
    ) throws(ModelProviderError) -> ModelCredential {
        if self == .claudePersonal { return .login(try ClaudeLogin(environment: environment).token) }
        guard let name = variable ?? defaultKeyVariable else { return .none }
        guard let key = environment[name], !key.isEmpty else {
            throw .missingKey(variable: name, provider: rawValue)
        }
        guard key.isHeaderValue else { throw .malformedKey(variable: name) }
        return switch self {
        case .claude: .apiKey(Secret(key))
        case .codex: .bearer(Secret(key))
        case .claudePersonal, .custom, .lmStudio, .ollama, .scripted: .apiKeyAndBearer(Secret(key))
        }
    }

    private var defaultKeyVariable: String? {
        switch self {
        case .claude: "ANTHROPIC_API_KEY"
        case .codex: "OPENAI_API_KEY"
        case .claudePersonal, .custom, .lmStudio, .ollama, .scripted: nil
        }
    }
}
