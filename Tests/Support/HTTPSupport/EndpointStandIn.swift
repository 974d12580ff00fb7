package import HTTPTypes
package import Hummingbird
package import Logging
internal import NIOCore
internal import Synchronization

/// A model's endpoint on the host's loopback that answers as the test says and remembers what it was asked.
package final class EndpointStandIn: Sendable {
    package struct Seen: Sendable {
        package var method: String
        package var target: String
        package var headers: HTTPFields
        package var body: [UInt8]
    }

    package init() {}

    struct NotRunning: Error {}

    package typealias Answer = @Sendable (Seen) async throws -> Response

    private let seenRequests = Mutex<[Seen]>([])

    package var seen: [Seen] { seenRequests.withLock { $0 } }

    /// Runs while `body` does, at the base URL that it gets.
    package func run<Result: Sendable>(
        answer: @escaping Answer,
        _ body: @Sendable @escaping (String) async throws -> Result,
    ) async throws -> Result {
        let port = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            responder: CallbackResponder { [self] (request: Request, _: BasicRequestContext) in
                var request = request
                let body = try await request.collectBody(upTo: 64 << 20)
                let seen = Seen(
                    method: request.method.rawValue,
                    target: request.head.path ?? "",
                    headers: request.headers,
                    body: Array(body.readableBytesView),
                )
                seenRequests.withLock { $0.append(seen) }
                return try await answer(seen)
            },
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in port.continuation.yield(channel.localAddress?.port ?? 0) },
            logger: .silent,
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            var ports = port.stream.makeAsyncIterator()
            guard let bound = await ports.next() else { throw NotRunning() }
            let result = try await body("http://127.0.0.1:\(bound)")
            group.cancelAll()
            return result
        }
    }
}

extension Response {
    package static func json(_ status: Int, _ text: String) -> Response {
        Response(
            status: HTTPResponse.Status(code: status),
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)),
        )
    }

    /// Server-sent events, a chunk for each.
    package static func events(_ events: [String]) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream"],
            body: ResponseBody { writer in
                for event in events { try await writer.write(ByteBuffer(string: event + "\n\n")) }
                try await writer.finish(nil)
            },
        )
    }
}

extension Logger {
    package static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}
