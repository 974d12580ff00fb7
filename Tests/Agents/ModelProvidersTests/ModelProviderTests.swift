internal import Primitives
internal import Testing

@testable internal import ModelProviders

@Suite("Model provider") struct ModelProviderTests {
    private func provider(
        _ word: String,
        model: String? = nil,
        baseURL: String? = nil,
        apiKeyEnv: String? = nil,
        script: String? = nil,
        environment: [String: String] = [:],
    ) throws -> ModelProvider {
        let settings = ModelSettings(
            provider: word,
            model: model,
            baseURL: baseURL,
            apiKeyEnv: apiKeyEnv,
            script: script,
        )
        return try ModelProvider(settings, environment: environment)
    }

    private func endpoint(_ provider: ModelProvider) throws -> ModelEndpoint {
        guard case .endpoint(let endpoint) = provider.source else { throw Unexpected() }
        return endpoint
    }

    private struct Unexpected: Error {}

    @Test func `claude takes its key from ANTHROPIC_API_KEY and keeps it out of every print`() throws {
        let provider = try provider("claude", environment: ["ANTHROPIC_API_KEY": "sk-real"])
        let endpoint = try endpoint(provider)
        #expect(endpoint.url.description == "https://api.anthropic.com")
        guard case .apiKey(let key) = endpoint.credential else { throw Unexpected() }
        #expect(key.reveal() == "sk-real")
        #expect(!"\(provider)".contains("sk-real"))
        #expect(!String(reflecting: provider).contains("sk-real"))
        #expect(!provider.isFree)
    }

    @Test(arguments: [[:], ["ANTHROPIC_API_KEY": ""]])
    func `a missing key names the variable`(_ environment: [String: String]) {
        let expected = ModelProviderError.missingKey(variable: "ANTHROPIC_API_KEY", provider: "claude")
        #expect(throws: expected) { try provider("claude", environment: environment) }
        #expect(expected.description.contains("ANTHROPIC_API_KEY"))
    }

    @Test(arguments: ["sk real", "sk\r\nX-Evil: 1", "schlüssel"])
    func `a key that would break out of its header is refused without being repeated`(_ key: String) {
        let expected = ModelProviderError.malformedKey(variable: "KEY")
        #expect(throws: expected) { try provider("claude", apiKeyEnv: "KEY", environment: ["KEY": key]) }
        #expect(!expected.description.contains(key))
    }

    @Test(arguments: [("ollama", "http://127.0.0.1:11434"), ("lm-studio", "http://127.0.0.1:1234")])
    func `a local provider is free and needs no key`(_ word: String, _ url: String) throws {
        let provider = try provider(word)
        let endpoint = try endpoint(provider)
        #expect(endpoint.url.description == url)
        guard case .none = endpoint.credential else { throw Unexpected() }
        #expect(provider.isFree)
        #expect(provider.cost(of: TokenCount(input: 1000, output: 1000), model: "anything") == 0)
    }

    @Test func `a local provider with a named key needs that key`() throws {
        #expect(throws: ModelProviderError.missingKey(variable: "K", provider: "ollama")) {
            try provider("ollama", apiKeyEnv: "K")
        }
        let endpoint = try endpoint(provider("ollama", apiKeyEnv: "K", environment: ["K": "v"]))
        guard case .apiKeyAndBearer(let key) = endpoint.credential else { throw Unexpected() }
        #expect(key.reveal() == "v")
    }

    @Test func `custom needs a base URL`() {
        #expect(throws: ModelProviderError.missingBaseURL(provider: "custom")) { try provider("custom") }
    }

    @Test func `the model is applied for every provider`() throws {
        for word in ["claude", "claude-personal", "ollama", "lm-studio", "custom", "scripted"] {
            let provider = try provider(
                word,
                model: "m-1",
                baseURL: word == "custom" ? "http://h" : nil,
                script: word == "scripted" ? "s.yaml" : nil,
                environment: ["ANTHROPIC_API_KEY": "k", "CLAUDE_CODE_OAUTH_TOKEN": "k"],
            )
            let environment = provider.guestEnvironment(baseURL: "http://127.0.0.1:9", token: Secret("t"))
            #expect(environment["ANTHROPIC_MODEL"] == "m-1", "\(word)")
            #expect((environment["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "m-1") == !word.hasPrefix("claude"), "\(word)")
        }
    }

    @Test func `the guest gets the broker's address and the box's token, never the key`() throws {
        let provider = try provider("claude", environment: ["ANTHROPIC_API_KEY": "sk-real"])
        let environment = provider.guestEnvironment(baseURL: "http://127.0.0.1:4000", token: Secret("box-token"))
        #expect(environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:4000")
        #expect(environment["ANTHROPIC_AUTH_TOKEN"] == "box-token")
        #expect(!environment.values.contains { $0.contains("sk-real") })
    }

    @Test func `a personal login is the host's, by its variable before its file`() throws {
        let both = ["CLAUDE_CODE_OAUTH_TOKEN": "token", "CLAUDE_CONFIG_DIR": "/no/such"]
        let provider = try provider("claude-personal", environment: both)
        guard case .login(let token) = try endpoint(provider).credential else { throw Unexpected() }
        #expect(token.reveal() == "token")
        #expect(!"\(provider)".contains("token\""))
        #expect(throws: ModelProviderError.notForProvider(key: "api_key_env", provider: "claude-personal")) {
            try self.provider("claude-personal", apiKeyEnv: "KEY", environment: both)
        }
        #expect(throws: ModelProviderError.notForProvider(key: "base_url", provider: "claude-personal")) {
            try self.provider("claude-personal", baseURL: "http://127.0.0.1:1", environment: both)
        }
        let error = #expect(throws: ModelProviderError.self) {
            try self.provider("claude-personal", environment: ["CLAUDE_CONFIG_DIR": "/no/such"])
        }
        #expect(error?.description.contains("/no/such/.credentials.json has none: No such file") == true)
    }

    @Test func `the file of a login is read with its end`() throws {
        func login(_ text: String) throws -> ClaudeLogin {
            try ClaudeLogin(file: Array(text.utf8), path: "f", now: 2_000_000_000)
        }
        #expect(try login(#"{"claudeAiOauth": {"accessToken": "t", "expiresAt": 2001}}"#).token.reveal() == "t")
        #expect(try login(#"{"claudeAiOauth": {"accessToken": "t"}}"#).token.reveal() == "t")
        #expect(throws: ModelProviderError.expiredLogin(path: "f")) {
            try login(#"{"claudeAiOauth": {"accessToken": "t", "expiresAt": 2000}}"#)
        }
        for text in ["", "[]", #"{"claudeAiOauth": 1}"#, #"{"claudeAiOauth": {"accessToken": "a\nb"}}"#] {
            let error = #expect(throws: ModelProviderError.self) { try login(text) }
            guard case .noLogin = error else { throw Unexpected() }
        }
    }

    @Test(arguments: ["", "Claude", "gpt", "ollama "])
    func `an unknown provider is an error that lists the known ones`(_ word: String) {
        let known = ["claude", "claude-personal", "codex", "custom", "lm-studio", "ollama", "scripted"]
        let error = ModelProviderError.unknownProvider(word, known: known)
        #expect(throws: error) { try provider(word) }
        #expect(known.allSatisfy { error.description.contains($0) })
    }

    @Test func `keys that mean nothing to a provider are refused`() {
        #expect(throws: ModelProviderError.missingScript) { try provider("scripted") }
        #expect(throws: ModelProviderError.notForProvider(key: "base_url", provider: "scripted")) {
            try provider("scripted", baseURL: "http://h", script: "s")
        }
        #expect(throws: ModelProviderError.notForProvider(key: "script", provider: "ollama")) {
            try provider("ollama", script: "s")
        }
        #expect(throws: ModelProviderError.emptyModel) { try provider("ollama", model: "") }
    }
}
