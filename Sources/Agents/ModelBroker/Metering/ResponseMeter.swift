internal import ModelProviders

/// Reads along while a response passes, and keeps next to nothing of it.
struct ResponseMeter {
    /// A response that is one JSON document has its counts at the end, so it is kept up to this size.
    static let maxDocumentSize = 8 << 20
    /// Of an error's answer: enough for its message.
    static let maxErrorSize = 4 << 10

    private enum Mode {
        case events(SSEParser)
        case document([UInt8])
        /// Not text that can be read here: compressed, or too long.
        case opaque
    }

    private var mode: Mode
    private let limit: Int
    private(set) var reading = UsageReading()
    private(set) var byteCount = 0
    /// A stream of Anthropic's API or of OpenAI's Responses says where it begins and ends; nothing else does.
    private var hasStarted = false
    private var hasStopped = false

    init(contentType: String?, contentEncoding: String?, isError: Bool) {
        limit = isError ? Self.maxErrorSize : Self.maxDocumentSize
        let encoding = contentEncoding?.lowercased() ?? "identity"
        let type = contentType?.lowercased() ?? ""
        if encoding != "identity" {
            mode = .opaque
        } else if type.hasPrefix("text/event-stream") {
            mode = .events(SSEParser())
        } else if isError || type.hasPrefix("application/json") {
            mode = .document([])
        } else {
            mode = .opaque
        }
    }

    mutating func consume(_ bytes: some Collection<UInt8>) {
        byteCount += bytes.count
        switch mode {
        case .opaque: break
        case .document(var document):
            mode = .opaque  // One owner at a time, or the append copies.
            guard document.count + bytes.count <= limit else { return }
            document.append(contentsOf: bytes)
            mode = .document(document)
        case .events(var parser):
            mode = .opaque
            parser.consume(bytes) { take($0) }
            mode = .events(parser)
        }
    }

    private mutating func take(_ event: SSEParser.Event) {
        switch event.name {
        case "message_start", "response.created": hasStarted = true
        case "message_stop", "error", "response.completed", "response.failed", "response.incomplete": hasStopped = true
        default: break
        }
        // Most events carry a piece of text; decoding each would cost more than passing it on.
        guard
            event.data.contains(sequence: Array("\"usage\"".utf8)) || ["error", "response.failed"].contains(event.name)
        else { return }
        reading.take(json: event.data)
    }

    /// True for a stream that ended before it said so.
    var isTruncatedStream: Bool { hasStarted && !hasStopped }

    /// Call at the end of the response.
    mutating func finish() -> UsageReading {
        if case .document(let document) = mode { reading.take(json: document) }
        return reading
    }
}

extension [UInt8] {
    func contains(sequence: [UInt8]) -> Bool {
        guard let first = sequence.first, count >= sequence.count else { return sequence.isEmpty }
        var start = startIndex
        while let hit = self[start...].firstIndex(of: first), count - hit >= sequence.count {
            if self[hit..<hit + sequence.count].elementsEqual(sequence) { return true }
            start = hit + 1
        }
        return false
    }
}
