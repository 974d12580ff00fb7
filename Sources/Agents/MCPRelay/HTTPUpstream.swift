internal import AsyncHTTPClient
internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1

/// An MCP server with an address. What the guest says crosses only as far as it is MCP; credentials are the host's.
struct HTTPUpstream: MCPUpstream {
    private let url: String
    private let headers: [String: String]
    private let client: HTTPClient

    init(url: String, headers: [String: String]) {
        self.url = url
        self.headers = headers
        var configuration = HTTPClient.Configuration()
        // A redirect would carry the credentials to an address that nobody named.
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(10)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func send(_ message: MCPMessage, _ fields: HTTPFields) async -> MCPAnswer {
        var request = request(.POST, fields)
        request.headers.replaceOrAdd(name: "content-type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: message.bytes))
        return await answer(to: request)
    }

    func listen(_ fields: HTTPFields) async -> MCPAnswer { await answer(to: request(.GET, fields)) }

    func endSession(_ fields: HTTPFields) async -> MCPAnswer { await answer(to: request(.DELETE, fields)) }

    func close() async {
        // It fails only when it was shut down before.
        try? await client.shutdown()
    }

    private func request(_ method: HTTPMethod, _ fields: HTTPFields) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url)
        request.method = method
        for name in [.accept, .session, .protocolVersion, .lastEventID] as [HTTPField.Name] {
            if let value = fields[name] { request.headers.add(name: name.rawName, value: value) }
        }
        for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
        return request
    }

    private func answer(to request: HTTPClientRequest) async -> MCPAnswer {
        let response: HTTPClientResponse
        do {
            response = try await client.execute(request, deadline: .distantFuture)
        } catch {
            return .refusal(502, "the MCP server cannot be reached from the host: \(error)")
        }
        let status = Int(response.status.code)
        guard !(300..<400).contains(status) else {
            return .refusal(502, "the MCP server answered with a redirect, which is not followed")
        }
        var answer = MCPAnswer(status: status, session: response.headers.first(name: "mcp-session-id"))
        let type = response.headers.first(name: "content-type") ?? ""
        if type.hasPrefix("application/json") || type.hasPrefix("text/event-stream") {
            answer.body = .stream(contentType: type, response.body.map { $0 })
        }
        return answer
    }
}
