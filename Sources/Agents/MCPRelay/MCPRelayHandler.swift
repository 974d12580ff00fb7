internal import BoxHTTP
internal import HTTPTypes
internal import HummingbirdCore
internal import Logging
internal import NIOCore

/// Answers the requests of one box: MCP's transport "Streamable HTTP" at `/mcp/NAME`, and nothing else.
struct MCPRelayHandler: Sendable {
    let token: BoxToken
    let upstreams: [String: any MCPUpstream]
    let logger: Logger

    @concurrent
    func respond(to request: Request, writer: consuming ResponseWriter) async throws {
        let answer = await answer(to: request)
        var head = HTTPResponse(status: HTTPResponse.Status(code: answer.status))
        head.headerFields[.session] = answer.session
        switch answer.body {
        case .none:
            head.headerFields[.contentLength] = "0"
            try await writer.writeResponse(head)
        case .json(let bytes):
            head.headerFields[.contentType] = "application/json"
            head.headerFields[.contentLength] = "\(bytes.count)"
            var body = try await writer.writeHead(head)
            try await body.write(ByteBuffer(bytes: bytes))
            try await body.finish(nil)
        case .stream(let contentType, let chunks):
            head.headerFields[.contentType] = contentType
            head.headerFields[.cacheControl] = "no-cache"
            var body = try await writer.writeHead(head)
            for try await chunk in chunks { try await body.write(chunk) }
            try await body.finish(nil)
        }
    }

    private func answer(to request: Request) async -> MCPAnswer {
        guard token.opens(request.headers) else { return .refusal(401, "the box's token is missing or wrong") }
        // A page in a browser in the box has no business here.
        guard request.headers[.origin] == nil else { return .refusal(403, "requests of web pages are refused") }
        let path = request.head.path ?? ""
        guard path.hasPrefix(Self.prefix), let upstream = upstreams[String(path.dropFirst(Self.prefix.count))] else {
            return .refusal(404, "the relay carries MCP only, at \(Self.prefix)NAME")
        }
        switch request.method {
        case .post: return await post(request, to: upstream)
        case .get: return await upstream.listen(request.headers)
        case .delete: return await upstream.endSession(request.headers)
        default: return .refusal(405, "\(request.method) is not a method of MCP")
        }
    }

    static let prefix = "/mcp/"

    private func post(_ request: Request, to upstream: any MCPUpstream) async -> MCPAnswer {
        let bytes: [UInt8]
        do {
            let buffer = try await request.body.collect(upTo: MCPMessage.maxBytes)
            bytes = Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            return .refusal(413, "the message is larger than \(MCPMessage.maxBytes >> 20) MiB")
        } catch {
            return .refusal(400, "the message did not arrive")
        }
        do throws(MCPMessage.Malformed) {
            return await upstream.send(try MCPMessage(bytes), request.headers)
        } catch {
            return MCPAnswer(status: 400, body: .json(MCPMessage.error(nil, code: -32700, "\(error)")))
        }
    }
}
