internal import BoxHTTP
internal import HTTPTypes
internal import NIOCore

/// A server that messages of a box go to.
protocol MCPUpstream: Sendable {
    /// - Parameter fields: Of the guest's request.
    func send(_ message: MCPMessage, _ fields: HTTPFields) async -> MCPAnswer
    /// Messages that the server sends of its own accord.
    func listen(_ fields: HTTPFields) async -> MCPAnswer
    func endSession(_ fields: HTTPFields) async -> MCPAnswer
    func close() async
}

/// What the guest's agent hears.
struct MCPAnswer: Sendable {
    enum Body: Sendable {
        case none
        case json([UInt8])
        /// Bytes of an answer that may go on.
        case stream(contentType: String, any AsyncSequence<ByteBuffer, any Error> & Sendable)
    }

    var status: Int
    var body = Body.none
    var session: String?

    /// An HTTP error with words, as JSON-RPC has them.
    static func refusal(_ status: Int, _ message: String, id: MCPMessage.ID? = nil) -> MCPAnswer {
        MCPAnswer(status: status, body: .json(MCPMessage.error(id, code: -32000, message)))
    }
}

extension HTTPField.Name {
    static let session = HTTPField.Name(lowercase: "mcp-session-id")
    static let protocolVersion = HTTPField.Name(lowercase: "mcp-protocol-version")
    static let lastEventID = HTTPField.Name(lowercase: "last-event-id")
}
