internal import BoxHTTP
internal import HTTPTypes
internal import ModelProviders
internal import Primitives
internal import Testing

@testable internal import ModelBroker

@Suite("Model route") struct ModelRouteTests {
    @Test(arguments: [
        (HTTPRequest.Method.post, "/v1/messages", ModelRoute.messages),
        (.post, "/v1/messages?beta=true", .messages),
        (.post, "/v1/messages/count_tokens?beta=true", .countTokens),
        (.post, "/v1/chat/completions", .chatCompletions),
        (.get, "/v1/models", .models),
        (.get, "/v1/models?limit=1000", .models),
        (.get, "/v1/models/claude-sonnet-4-5", .models),
        (.get, "/v1/models/qwen3-coder:7b", .models),
        (.head, "/", .root),
        (.get, "/", .root),
    ])
    func `a listed request has its route`(_ method: HTTPRequest.Method, _ target: String, _ route: ModelRoute) throws {
        #expect(try ModelRoute(method: method, target: target) == route)
    }

    @Test(arguments: [
        "", "v1/messages", "//v1/messages", "/v1//messages", "/v1/messages/", "/v1/messages/batches", "/V1/messages",
        "/v1/%6dessages", "/v1/messages%2f..", "/v1/../v1/messages", "/v1/messages/../files", "/v1/files",
        "/v1/models/",
        "/v1/models/..", "/v1/models/a/b", "/v1/models/a%2fb", "/v1/messages#x", "/v1/messages;x",
        "http://h/v1/messages",
        "/api/oauth/claude_cli/create_api_key", "*", "/v1/models/" + String(repeating: "a", count: 129),
        "/v1/messages\0",
    ])
    func `anything else is unknown`(_ target: String) {
        for method in [HTTPRequest.Method.get, .post] {
            #expect(throws: ModelRoute.Refusal.unknownPath) { try ModelRoute(method: method, target: target) }
        }
    }

    @Test(arguments: [
        (HTTPRequest.Method.get, "/v1/messages", "POST"), (.delete, "/v1/models", "GET"), (.post, "/", "HEAD, GET"),
        (.head, "/v1/messages", "POST"), (.connect, "/v1/models", "GET"),
    ])
    func `a wrong method is told the right one`(_ method: HTTPRequest.Method, _ target: String, _ allowed: String) {
        #expect(throws: ModelRoute.Refusal.methodNotAllowed(allowed: allowed)) {
            try ModelRoute(method: method, target: target)
        }
    }
}

@Suite("Header rules") struct HeaderRulesTests {
    private func fields(_ pairs: [(String, String)]) throws -> HTTPFields {
        var fields = HTTPFields()
        for (name, value) in pairs {
            fields.append(HTTPField(name: try #require(HTTPField.Name(name)), value: value))
        }
        return fields
    }

    private func names(_ fields: HTTPFields) -> [String] { fields.map { $0.name.canonicalName } }

    @Test func `the guest's credentials go and the host's come`() throws {
        let guest = try fields([
            ("Authorization", "Bearer guest"), ("X-Api-Key", "guest"), ("x-api-key", "again"), ("Cookie", "c"),
            ("anthropic-version", "2023-06-01"),
        ])
        let none = HeaderRules.request(guest, credential: .none)
        #expect(names(none) == ["anthropic-version", "accept-encoding"])
        let key = HeaderRules.request(guest, credential: .apiKey(Secret("real")))
        #expect(key[values: .apiKey] == ["real"])
        #expect(key[.authorization] == nil)
        let both = HeaderRules.request(guest, credential: .apiKeyAndBearer(Secret("real")))
        #expect(both[values: .apiKey] == ["real"])
        #expect(both[values: .authorization] == ["Bearer real"])
        let betas = try fields([("anthropic-beta", "one"), ("anthropic-beta", "two")])
        let login = HeaderRules.request(betas, credential: .login(Secret("real")))
        #expect(login[values: .authorization] == ["Bearer real"] && login[.apiKey] == nil)
        #expect(login[values: .anthropicBeta] == ["one,two,oauth-2025-04-20"])
    }

    @Test func `fields of one hop stay on it, those named by Connection too`() throws {
        let guest = try fields([
            ("Connection", "keep-alive, X-One ,\tx-two"), ("connection", "X-Three"), ("X-One", "1"), ("x-two", "2"),
            ("X-THREE", "3"), ("X-Four", "4"), ("Keep-Alive", "5"), ("TE", "trailers"), ("Trailer", "x"),
            ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c"), ("Proxy-Authorization", "p"), ("Host", "evil"),
            ("Content-Length", "3"), ("Expect", "100-continue"), ("X-Forwarded-For", "1.2.3.4"),
        ])
        #expect(names(HeaderRules.request(guest, credential: .none)) == ["x-four", "accept-encoding"])
    }

    @Test func `a response keeps its length and loses what is not the guest's`() throws {
        let endpoint = try fields([
            ("Content-Length", "3"), ("Content-Type", "text/plain"), ("Set-Cookie", "s"),
            ("Transfer-Encoding", "chunked"),
            ("request-id", "r"), ("Alt-Svc", "h3"),
        ])
        #expect(names(HeaderRules.response(endpoint)) == ["content-length", "content-type", "request-id"])
    }
}

@Suite("Box token") struct BoxTokenTests {
    @Test func `tokens are long, different, and not printed`() {
        let tokens = (0..<100).map { _ in BoxToken() }
        #expect(Set(tokens.map { $0.value.reveal() }).count == 100)
        #expect(tokens.allSatisfy { $0.value.reveal().count == 72 })
        #expect(!"\(tokens)".contains("voidbox-"))
    }

    @Test func `it opens in both places, and a part of it or more than it does not`() throws {
        let token = BoxToken()
        let value = token.value.reveal()
        let bearer = { (value: String) in HTTPFields([HTTPField(name: .authorization, value: value)]) }
        #expect(token.opens(bearer("Bearer \(value)")))
        #expect(token.opens(bearer("bearer  \(value)")))
        #expect(token.opens([.apiKey: value]))
        #expect(token.opens([.apiKey: value, .authorization: "Bearer x"]))
        for wrong in [value, "Bearer", "Bearer ", "Bearer \(value)x", "Bearer \(value.dropLast())", "Basic \(value)"] {
            #expect(!token.opens(bearer(wrong)), "\(wrong)")
        }
        #expect(!token.opens([:]))
        #expect(!token.opens([.apiKey: ""]))
    }
}
