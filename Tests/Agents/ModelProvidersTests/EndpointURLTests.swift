internal import ModelProviders
internal import Testing

@Suite("Endpoint URL") struct EndpointURLTests {
    @Test(arguments: [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434", "127.0.0.1:11434"),
        ("https://API.Example.com/", "https://api.example.com", "api.example.com"),
        ("https://h/v1", "https://h", "h"),
        ("https://h/v1/", "https://h", "h"),
        ("https://h/gateway/anthropic/", "https://h/gateway/anthropic", "h"),
        ("https://h/x/v1", "https://h/x", "h"),
        ("http://[::1]:80", "http://[::1]:80", "[::1]:80"),
    ])
    func `an address is brought into one form`(_ text: String, _ url: String, _ authority: String) throws {
        let parsed = try EndpointURL(text)
        #expect(parsed.description == url)
        #expect(parsed.authority == authority)
    }

    @Test(arguments: [
        "", "h", "//h", "ftp://h", "http://", "http:///x", "https://h?x=1", "https://h#f", "http://h:0",
        "http://h:70000",
        "http://h x", "http://h\r\nX: 1", "file:///etc/passwd",
    ])
    func `an address that is none is refused`(_ text: String) {
        #expect(throws: ModelProviderError.self) { try EndpointURL(text) }
    }

    @Test(arguments: [
        ("http://localhost:1", true), ("http://127.1.2.3", true), ("http://[::1]:80", true),
        ("https://127.0.0.1", true),
        ("http://127.evil.example", false), ("http://127.0.0.1.example", false), ("http://10.0.0.1", false),
        ("http://localhost.example", false), ("http://[::2]", false),
    ])
    func `only an address of this machine never leaves it`(_ text: String, _ isLoopback: Bool) throws {
        #expect(try EndpointURL(text).isLoopback == isLoopback)
    }

    @Test func `a key over plain http is worth a warning, if there is one and it leaves this machine`() throws {
        func warning(_ url: String, key: String? = "KEY") throws -> String? {
            let settings = ModelSettings(provider: "custom", baseURL: url, apiKeyEnv: key)
            return try ModelProvider(settings, environment: ["KEY": "sk-1"]).warning
        }
        let told = try #require(try warning("http://models.example.com"))
        #expect(told.contains("http://models.example.com over plain http") && !told.contains("sk-1"))
        #expect(try warning("https://models.example.com") == nil)
        #expect(try warning("http://127.0.0.1:8080") == nil)
        #expect(try warning("http://models.example.com", key: nil) == nil)
    }

    @Test func `a password in an address is refused and not repeated`() {
        #expect {
            try EndpointURL("https://user:geheim@h")
        } throws: { error in
            !"\(error)".contains("geheim") && "\(error)".contains("api_key_env")
        }
    }
}
