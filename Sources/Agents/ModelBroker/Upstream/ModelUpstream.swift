internal import HTTPTypes
internal import ModelProviders
internal import NIOCore

typealias BodyChunks = any AsyncSequence<ByteBuffer, any Error> & Sendable

/// Where requests go: a real endpoint, or a script.
protocol ModelUpstream: Sendable {
    /// The address, for messages. Never a secret.
    var name: String { get }
    func respond(to request: UpstreamRequest) async throws -> UpstreamResponse
    func close() async
}

struct UpstreamRequest: Sendable {
    var route: ModelRoute
    var method: HTTPRequest.Method
    /// Path and query as the guest wrote them; the route has been checked.
    var target: String
    var headers: HTTPFields
    /// Nil for a request without a body.
    var body: RequestBodyChannel?
}

struct UpstreamResponse: Sendable {
    var status: Int
    var headers: HTTPFields
    var body: BodyChunks
}

/// A response that ends before it is complete.
struct UpstreamCut: Error {}
