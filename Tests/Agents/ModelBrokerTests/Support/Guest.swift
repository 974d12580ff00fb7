internal import AsyncHTTPClient
internal import Foundation
internal import HTTPSupport
internal import Logging
internal import ModelBroker
internal import ModelProviders
internal import NIOCore
internal import NIOHTTP1
internal import Primitives

/// A program in a box that has a broker.
struct Guest: Sendable {
    let baseURL: String
    let token: String
    let broker: ModelBroker

    /// Shared by all tests, and opens as many connections at a time as they like.
    static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 256
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: String

        var json: JSONValue? { try? JSONDecoder().decode(JSONValue.self, from: Data(body.utf8)) }
    }

    /// Gives `body` a box that is attached to a broker, and takes both down.
    static func run<Result>(
        _ provider: ModelProvider,
        limits: ModelBrokerLimits = ModelBrokerLimits(),
        onFirstFailure: @escaping @Sendable (ModelFailure) async -> Void = { _ in },
        _ body: (Guest) async throws -> Result,
    ) async throws -> Result {
        let broker = try await ModelBroker.start(
            provider: provider,
            limits: limits,
            logger: .silent,
            onFirstFailure: onFirstFailure,
        )
        do {
            let attachment = try await broker.attach(to: LoopbackSandbox())
            let guest = Guest(
                baseURL: attachment.guestBaseURL,
                token: attachment.token.reveal(),
                broker: broker,
            )
            let result = try await body(guest)
            await broker.close()
            return result
        } catch {
            await broker.close()
            throw error
        }
    }

    func request(
        _ method: HTTPMethod,
        _ path: String,
        body: String? = nil,
        headers: HTTPHeaders? = nil,
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: baseURL + path)
        request.method = method
        request.headers = headers ?? ["authorization": "Bearer \(token)"]
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
        }
        return request
    }

    func send(_ request: HTTPClientRequest) async throws -> Answer {
        let response = try await Self.client.execute(request, timeout: .seconds(60))
        let body = try await response.body.collect(upTo: 64 << 20)
        return Answer(status: Int(response.status.code), headers: response.headers, body: String(buffer: body))
    }

    func post(_ path: String, _ body: String, headers: HTTPHeaders? = nil) async throws -> Answer {
        try await send(request(.POST, path, body: body, headers: headers))
    }
}

extension ModelProvider {
    static func custom(_ baseURL: String, key: String = "sk-real-key") throws -> ModelProvider {
        try ModelProvider(
            ModelSettings(provider: "custom", baseURL: baseURL, apiKeyEnv: "KEY"),
            environment: ["KEY": key],
        )
    }

    /// Runs `body` with a provider that plays the script, which goes afterwards.
    static func withScript<Result>(
        _ text: String,
        _ body: (ModelProvider) async throws -> Result,
    ) async throws -> Result {
        let file = FileManager.default.temporaryDirectory.appending(path: "script-\(UUID()).yaml")
        try Data(text.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try await body(
            ModelProvider(ModelSettings(provider: "scripted", script: file.path()), environment: [:])
        )
    }
}
