internal import AsyncAlgorithms
internal import HTTPTypes
internal import JSONCoding
internal import NIOCore
internal import Primitives
internal import Synchronization

/// A model that plays a script, inside this process. It goes the same way as an endpoint: token, routes, meter and all.
final class ScriptedUpstream: ModelUpstream {
    let name: String
    private let player: ScriptPlayer
    private let responses = Atomic(0)

    init(_ script: ModelScript, name: String) {
        self.name = name
        player = ScriptPlayer(script)
    }

    func close() async {}

    func respond(to request: UpstreamRequest) async throws -> UpstreamResponse {
        switch request.route {
        case .root: return .json(200, .object([:]))
        case .models: return .json(200, Self.models)
        case .countTokens, .messages, .chatCompletions, .responses: break
        }
        let conversation: ScriptedConversation
        let body = try await request.collectBody()
        do throws(ScriptedConversation.Malformed) {
            conversation = try ScriptedConversation(body: body, isResponses: request.route == .responses)
        } catch {
            return .error(request.route, status: 400, type: "invalid_request_error", error.message)
        }
        guard request.route != .countTokens else {
            return .json(200, ["input_tokens": .integer(Int64(conversation.estimatedTokens))])
        }
        switch await player.next(for: conversation) {
        case .error(let failure, let delay):
            try await Task.sleep(for: delay)
            var response = UpstreamResponse.error(
                request.route,
                status: failure.status,
                type: failure.type,
                failure.message,
            )
            response.headers[.shouldRetry] = failure.times == nil ? "false" : "true"
            return response
        case .answer(let answer, _, let delay):
            try await Task.sleep(for: delay)
            let number = responses.add(1, ordering: .relaxed).newValue
            let message = ScriptedMessage(answer, number: number, to: conversation)
            return .message(message, conversation, request.route, cutAfter: answer.cutAfterBytes)
        }
    }

    /// Both dialects find what they look for in it.
    private static let models: JSONValue = [
        "object": "list", "has_more": false, "first_id": "scripted", "last_id": "scripted",
        "data": .array([
            [
                "type": "model", "object": "model", "id": "scripted", "display_name": "Scripted",
                "created_at": "2025-01-01T00:00:00Z", "created": 0, "owned_by": "voidbox",
            ]
        ]),
    ]
}

extension UpstreamRequest {
    fileprivate func collectBody() async throws -> [UInt8] {
        guard let body else { return [] }
        var bytes: [UInt8] = []
        for try await chunk in body.chunks { bytes.append(contentsOf: chunk.readableBytesView) }
        return bytes
    }
}

extension UpstreamResponse {
    static func json(_ status: Int, _ value: JSONValue) -> UpstreamResponse {
        whole(status, "application/json", value.encoded)
    }

    static func error(_ route: ModelRoute, status: Int, type: String, _ message: String) -> UpstreamResponse {
        whole(status, "application/json", route.dialect.errorBody(status: status, type: type, message: message))
    }

    fileprivate static func message(
        _ message: ScriptedMessage,
        _ conversation: ScriptedConversation,
        _ route: ModelRoute,
        cutAfter cut: Int?,
    ) -> UpstreamResponse {
        guard conversation.isStreaming else {
            let document =
                switch route {
                case .chatCompletions: message.openAIDocument
                case .responses: message.responsesDocument
                default: message.anthropicDocument
                }
            return whole(200, "application/json", document.encoded, cutAfter: cut)
        }
        let stream =
            switch route {
            case .chatCompletions: message.openAIStream(withUsage: conversation.wantsStreamUsage)
            case .responses: message.responsesStream
            default: message.anthropicStream
            }
        var response = whole(200, "text/event-stream; charset=utf-8", stream, cutAfter: cut)
        // A stream does not know its length.
        response.headers[.contentLength] = nil
        response.headers[.cacheControl] = "no-cache"
        return response
    }

    private static func whole(
        _ status: Int,
        _ type: String,
        _ bytes: [UInt8],
        cutAfter cut: Int? = nil,
    ) -> UpstreamResponse {
        var headers = HTTPFields()
        headers[.contentType] = type
        headers[.contentLength] = "\(bytes.count)"
        return UpstreamResponse(
            status: status,
            headers: headers,
            // A cut that leaves nothing out would be none.
            body: ScriptedBody(bytes: bytes, end: cut.map { min($0, bytes.count - 1) }),
        )
    }
}

/// The bytes of a response in pieces, and the cut where the script wants one.
private struct ScriptedBody: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    typealias Failure = any Error

    let bytes: [UInt8]
    /// Where it is cut; nil where it is not.
    let end: Int?

    func makeAsyncIterator() -> Iterator { Iterator(rest: bytes.prefix(end ?? bytes.count), isCut: end != nil) }

    struct Iterator: AsyncIteratorProtocol {
        private static let pieceSize = 4096
        var rest: ArraySlice<UInt8>
        let isCut: Bool

        mutating func next() async throws -> ByteBuffer? {
            guard !rest.isEmpty else {
                if isCut { throw UpstreamCut() }
                return nil
            }
            let piece = rest.prefix(Self.pieceSize)
            rest = rest.dropFirst(piece.count)
            return ByteBuffer(bytes: piece)
        }
    }
}
