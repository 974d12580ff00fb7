internal import AsyncHTTPClient
internal import HTTPSupport
internal import HTTPTypes
internal import Hummingbird
internal import JSONCoding
internal import ModelBroker
internal import ModelProviders
internal import NIOCore
internal import NIOHTTP1
internal import Primitives
internal import Synchronization
internal import Testing

@Suite("Model broker", .timeLimit(.minutes(10))) struct ModelBrokerTests {
    private static let answer = """
        {"id":"m","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],\
        "stop_reason":"end_turn","usage":{"input_tokens":1000,"output_tokens":100,"cache_read_input_tokens":10}}
        """
    private static let question = #"{"model":"claude-sonnet-4-5","max_tokens":10,"messages":[]}"#

    @Test func `the endpoint sees the real key where the guest said its token`() async throws {
        let endpoint = EndpointStandIn()
        try await endpoint.run(answer: { _ in .json(200, Self.answer) }) { url in
            let provider = try ModelProvider.custom(url)
            try await Guest.run(provider) { guest in
                let headers: HTTPHeaders = [
                    "x-api-key": guest.token, "anthropic-version": "2023-06-01", "anthropic-beta": "a,b",
                    "accept-encoding": "gzip", "cookie": "c=1", "connection": "x-hop", "x-hop": "1",
                ]
                let answer = try await guest.post("/v1/messages?beta=true", Self.question, headers: headers)
                #expect(answer.status == 200)
                #expect(answer.body == Self.answer)
                #expect(!"\(answer)".contains("sk-real-key"))
            }
        }
        let seen = try #require(endpoint.seen.first)
        #expect(seen.target == "/v1/messages?beta=true")
        #expect(seen.body == Array(Self.question.utf8))
        #expect(seen.headers[values: try .named("x-api-key")] == ["sk-real-key"])
        #expect(seen.headers[values: .authorization] == ["Bearer sk-real-key"])
        #expect(seen.headers[values: try .named("anthropic-beta")] == ["a,b"])
        #expect(seen.headers[values: .acceptEncoding] == ["identity"])
        #expect(seen.headers[.cookie] == nil)
        #expect(seen.headers[try .named("x-hop")] == nil)
        #expect(!seen.headers.contains { $0.value.contains("voidbox-") })
    }

    @Test func `usage and cost of a response are counted`() async throws {
        try await EndpointStandIn().run(answer: { _ in .json(200, Self.answer) }) { url in
            try await Guest.run(try .custom(url)) { guest in
                _ = try await guest.post("/v1/messages", Self.question)
                _ = try await guest.post("/v1/messages", Self.question)
                let usage = await guest.broker.usage
                #expect(usage.requests == 2)
                let tokens = TokenCount(input: 2000, output: 200, cacheRead: 20)
                #expect(usage.tokens == tokens)
                let cost = try #require(usage.cost)
                #expect(abs(cost - (2000 * 3 + 200 * 15 + 20 * 0.3) / 1_000_000) < 1e-12)
                #expect(usage.models["claude-sonnet-4-5-20250929"]?.responses == 2)
            }
        }
    }

    @Test(
        arguments: [
            [:], ["authorization": "Bearer wrong"], ["x-api-key": ""], ["authorization": "Basic TOKEN"],
            ["x-api-key": "TOKENx"], ["authorization": "Bearer TOKE"],
        ] as [[String: String]]
    )
    func `a request without the right token never reaches the endpoint`(_ fields: [String: String]) async throws {
        let endpoint = EndpointStandIn()
        try await endpoint.run(answer: { _ in .json(200, "{}") }) { url in
            try await Guest.run(try .custom(url)) { guest in
                var headers = HTTPHeaders()
                for (name, value) in fields {
                    headers.add(name: name, value: value.replacing("TOKEN", with: guest.token))
                }
                let answer = try await guest.post("/v1/messages", "{}", headers: headers)
                #expect(answer.status == 401)
                #expect(answer.json?["error"]?["type"]?.stringValue == "authentication_error")
                #expect(await guest.broker.usage.refusals[.token] == 1)
            }
        }
        #expect(endpoint.seen.isEmpty)
    }

    @Test func `the token of one box does not open the door of another`() async throws {
        try await ModelProvider.withScript("turns: [{text: hi}]") { provider in
            try await Guest.run(provider) { guest in
                let other = try await guest.broker.attach(to: LoopbackSandbox())
                #expect(other.token.reveal() != guest.token)
                var request = HTTPClientRequest(url: other.guestBaseURL + "/v1/models")
                request.headers = ["x-api-key": guest.token]
                #expect(try await guest.send(request).status == 401)
            }
        }
    }

    @Test func `a path or method that is not listed is refused with a reason`() async throws {
        let endpoint = EndpointStandIn()
        try await endpoint.run(answer: { _ in .json(200, "{}") }) { url in
            try await Guest.run(try .custom(url)) { guest in
                let unknown = try await guest.send(guest.request(.GET, "/v1/files"))
                #expect(unknown.status == 404)
                #expect(unknown.body.contains("/v1/files"))
                #expect(try await guest.send(guest.request(.GET, "/v1/messages")).status == 405)
                #expect(try await guest.send(guest.request(.DELETE, "/v1/models")).status == 405)
                #expect(await guest.broker.usage.refusals[.path] == 3)
                // Nobody needs a token to see that somebody is there.
                #expect(try await guest.send(guest.request(.HEAD, "/", headers: [:])).status == 200)
            }
        }
        #expect(endpoint.seen.isEmpty)
    }

    @Test func `the first call that fails is told at once, and the guest is told not to try again`() async throws {
        let told = Mutex<[ModelFailure]>([])
        let note: @Sendable (ModelFailure) async -> Void = { failure in told.withLock { $0.append(failure) } }
        try await Guest.run(try .custom("http://127.0.0.1:1"), onFirstFailure: note) { guest in
            let answer = try await guest.post("/v1/messages", Self.question)
            #expect(answer.headers.first(name: "x-should-retry") == "false")
            #expect(told.withLock { $0.count } == 1, "before the guest has its answer")
            _ = try await guest.post("/v1/messages", Self.question)
            let failures = await guest.broker.usage.failures
            #expect(failures == 2)
        }
        let failure = try #require(told.withLock { $0.first })
        #expect(told.withLock { $0.count } == 1)
        let provider = try ModelProvider(ModelSettings(provider: "ollama"), environment: [:])
        #expect(provider.describe(failure).hasSuffix("Connection refused; is ollama running?"))
    }

    @Test func `an endpoint that closes the connection may be asked again`() async throws {
        let endpoint = EndpointStandIn()
        try await endpoint.run(answer: { _ in .json(503, "{}") }) { url in
            try await Guest.run(try .custom(url)) { guest in
                let answer = try await guest.post("/v1/messages", Self.question)
                #expect(answer.status == 503)
                #expect(answer.headers.first(name: "x-should-retry") == nil)
            }
        }
    }

    @Test func `an endpoint that refuses connections is named in the guest's error and in the usage`() async throws {
        // Port 1 is reserved and nobody listens there.
        try await Guest.run(try .custom("http://127.0.0.1:1")) { guest in
            for (path, dialect) in [("/v1/messages", "type"), ("/v1/chat/completions", "error")] {
                let answer = try await guest.post(path, Self.question)
                #expect(answer.status == 502)
                #expect(answer.json?[dialect] != nil)
                let message = try #require(answer.json?["error"]?["message"]?.stringValue)
                #expect(message.contains("http://127.0.0.1:1"))
                #expect(message.lowercased().contains("refused"), "\(message)")
                #expect(!message.contains("sk-real-key"))
            }
            let usage = await guest.broker.usage
            #expect(usage.failures == 2)
            let failure = try #require(usage.lastFailure)
            #expect(failure.description.hasPrefix("model endpoint http://127.0.0.1:1 cannot be reached"))
        }
    }

    @Test func `an endpoint that says nothing is given up`() async throws {
        var limits = ModelBrokerLimits()
        limits.idleTimeout = .milliseconds(100)
        let forever = AsyncStream<Never>.makeStream()
        try await EndpointStandIn().run(answer: { _ in
            for await _ in forever.stream {}
            return .json(200, "{}")
        }) { [limits] url in
            try await Guest.run(try .custom(url), limits: limits) { guest in
                let answer = try await guest.post("/v1/messages", Self.question)
                #expect(answer.status == 504)
                #expect(answer.body.contains(url))
            }
            forever.continuation.finish()
        }
    }

    @Test func `a redirect is not followed`() async throws {
        let endpoint = EndpointStandIn()
        try await endpoint.run(answer: { _ in
            Response(status: .temporaryRedirect, headers: [.location: "/v1/elsewhere"])
        }) { url in
            try await Guest.run(try .custom(url)) { guest in
                let answer = try await guest.post("/v1/messages", Self.question)
                #expect(answer.status == 502)
                #expect(answer.body.contains("307"))
                #expect(answer.headers["location"].isEmpty)
            }
        }
        #expect(endpoint.seen.count == 1)
    }

    @Test func `an error of the endpoint passes through and is remembered without the key`() async throws {
        let error = #"{"type":"error","error":{"type":"authentication_error","message":"bad key sk-real-key"}}"#
        try await EndpointStandIn().run(answer: { _ in .json(401, error) }) { url in
            try await Guest.run(try .custom(url)) { guest in
                let answer = try await guest.post("/v1/messages", Self.question)
                #expect(answer.status == 401)
                #expect(answer.body == error)
                let usage = await guest.broker.usage
                #expect(usage.lastFailure?.reason == .status(401, message: "bad key redacted"))
                #expect(usage.cost == 0)
            }
        }
    }

    @Test func `a body over the limit is refused, whether it says its length or not`() async throws {
        var limits = ModelBrokerLimits()
        limits.maxRequestBody = .kibibytes(64)
        let endpoint = EndpointStandIn()
        try await endpoint.run(answer: { _ in .json(200, "{}") }) { [limits] url in
            try await Guest.run(try .custom(url), limits: limits) { guest in
                let big = String(repeating: "x", count: 1 << 20)
                let refused = try await guest.post("/v1/messages", big)
                #expect(refused.status == 413)
                var chunked = guest.request(.POST, "/v1/messages")
                let chunks = AsyncStream { continuation in
                    for _ in 0..<64 { continuation.yield(ByteBuffer(repeating: 1, count: 16 << 10)) }
                    continuation.finish()
                }
                chunked.body = .stream(chunks, length: .unknown)
                #expect(try await guest.send(chunked).status == 413)
                #expect(await guest.broker.usage.refusals[.bodyTooBig] == 2)
                // The connection and the broker are fit for more.
                #expect(try await guest.post("/v1/messages", "{}").status == 200)
            }
        }
        #expect(endpoint.seen.count == 1)
    }

    @Test func `a stream that the endpoint cuts is cut for the guest and remembered`() async throws {
        struct Cut: Error {}
        let start = #"event: message_start\#ndata: {"type":"message_start","message":{"model":"m","usage":"#
        let piece = start + #"{"input_tokens":5}}}"# + "\n\n"
        try await EndpointStandIn().run(answer: { _ in
            Response(
                status: .ok,
                headers: [.contentType: "text/event-stream"],
                body: ResponseBody { writer in
                    try await writer.write(ByteBuffer(string: piece))
                    throw Cut()
                },
            )
        }) { url in
            try await Guest.run(try .custom(url)) { guest in
                await #expect(throws: (any Error).self) { try await guest.post("/v1/messages", Self.question) }
                let usage = await guest.broker.usage
                #expect(usage.lastFailure?.reason == .cut(afterBytes: piece.utf8.count))
                #expect(
                    usage.lastFailure?.description
                        == "model endpoint \(url) cut the stream after \(piece.utf8.count) bytes"
                )
                #expect(usage.tokens.input == 5)
            }
        }
    }

    @Test func `a stream that ends politely before its end is cut all the same`() async throws {
        try await EndpointStandIn().run(answer: { _ in
            .events([#"event: message_start\#ndata: {"message":{"model":"m","usage":{"input_tokens":5}}}"#])
        }) { url in
            try await Guest.run(try .custom(url)) { guest in
                await #expect(throws: (any Error).self) { try await guest.post("/v1/messages", Self.question) }
                #expect(await guest.broker.usage.failures == 1)
            }
        }
    }

    @Test func `an error within a stream is passed on and remembered`() async throws {
        let error = #"event: error\#ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#
        try await EndpointStandIn().run(answer: { _ in .events([error]) }) { url in
            try await Guest.run(try .custom(url)) { guest in
                let answer = try await guest.post("/v1/messages", Self.question)
                #expect(answer.body == error + "\n\n")
                #expect(await guest.broker.usage.lastFailure?.reason == .streamError(message: "busy"))
            }
        }
    }

    @Test func `64 streams run at the same time and none gets another's bytes`() async throws {
        // Nobody is answered before all have asked.
        let gate = Gate(count: 64)
        try await EndpointStandIn().run(answer: { seen in
            await gate.arrive()
            return .events((0..<20).map { "data: \(String(decoding: seen.body, as: UTF8.self))-\($0)" })
        }) { url in
            try await Guest.run(try .custom(url)) { guest in
                let request = { @Sendable (number: Int) in
                    try await guest.post("/v1/messages", "\(number)").body
                }
                try await withThrowingTaskGroup(of: (Int, String).self) { group in
                    for number in 0..<64 { group.addTask { (number, try await request(number)) } }
                    for try await (number, body) in group {
                        #expect(body == (0..<20).map { "data: \(number)-\($0)\n\n" }.joined())
                    }
                }
                #expect(await guest.broker.usage.requests == 64)
            }
        }
    }

    @Test func `an endpoint waits for a guest that reads nothing`() async throws {
        let total = 128 << 20
        let endpoint = try await SteadyEndpoint(size: total)
        try await Guest.run(try .custom(endpoint.baseURL)) { guest in
            let sandbox = PipeSandbox()
            let attachment = try await guest.broker.attach(to: sandbox)
            let connection = await sandbox.connect()
            let request = """
                POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\
                X-Api-Key: \(attachment.token.reveal())\r\n\r\n{}
                """
            await connection.send(Array(request.utf8))
            var read = try #require(await connection.receive()).count
            // While nothing more is read, there is time enough for all of it many times over.
            for _ in 0..<500 {
                let root = try await guest.send(guest.request(.HEAD, "/"))
                #expect(root.status == 200)
            }
            // What the kernel keeps of one TCP connection, and next to nothing of ours.
            #expect(endpoint.written < total / 2)
            while read < total, let bytes = await connection.receive() { read += bytes.count }
            #expect(read > total)
        }
        try await endpoint.close()
    }

    @Test func `a guest that goes away stops the endpoint's work`() async throws {
        let (cancelled, continuation) = AsyncStream<Void>.makeStream()
        try await EndpointStandIn().run(answer: { _ in
            Response(
                status: .ok,
                headers: [.contentType: "text/event-stream"],
                body: ResponseBody { writer in
                    defer { continuation.finish() }
                    while true { try await writer.write(ByteBuffer(repeating: UInt8(ascii: ":"), count: 16 << 10)) }
                },
            )
        }) { url in
            try await Guest.run(try .custom(url)) { guest in
                let request = guest.request(.POST, "/v1/messages", body: Self.question)
                let response = try await Guest.client.execute(request, timeout: .seconds(60))
                for try await _ in response.body { break }
                for await _ in cancelled {}
                #expect(await guest.broker.usage.failures == 0)
            }
        }
    }

    @Test func `closing the broker cuts what is under way and closes the door`() async throws {
        let (asked, continuation) = AsyncStream<Void>.makeStream()
        try await EndpointStandIn().run(answer: { _ in
            continuation.yield()
            try await Task.sleep(for: .seconds(60))
            return .json(200, "{}")
        }) { url in
            try await Guest.run(try .custom(url)) { guest in
                let answer = Task { try await guest.post("/v1/messages", Self.question) }
                for await _ in asked { break }
                await guest.broker.close()
                await #expect(throws: (any Error).self) { try await answer.value }
                await #expect(throws: ModelBrokerClosed.self) { try await guest.broker.attach(to: LoopbackSandbox()) }
            }
        }
    }
}

/// Holds everybody until all are there.
actor Gate {
    private var missing: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(count: Int) {
        missing = count
    }

    func arrive() async {
        missing -= 1
        guard missing <= 0 else { return await withCheckedContinuation { waiting.append($0) } }
        for continuation in waiting { continuation.resume() }
        waiting = []
    }
}

extension HTTPField.Name {
    static func named(_ name: String) throws -> HTTPField.Name {
        try #require(HTTPField.Name(name))
    }
}
