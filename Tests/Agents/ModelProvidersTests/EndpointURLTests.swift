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

    @Test func `a password in an address is refused and not repeated`() {
        #expect {
            try EndpointURL("https://user:geheim@h")
        } throws: { error in
            !"\(error)".contains("geheim") && "\(error)".contains("api_key_env")
        }
    }
}
