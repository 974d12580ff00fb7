internal import FoundationEssentials
internal import SwiftProtobuf
internal import TTRPCMessages

/// The server's side of one connection, without I/O: bytes in, events and bytes out.
struct ServerMachine: Sendable {
    struct Request: Sendable {
        let method: TTRPCMethod
        let payload: [UInt8]
        /// Nil: none.
        let timeout: Duration?
        let metadata: [(key: String, value: String)]
        /// False for a unary call, which gets exactly one response.
        let isStream: Bool
        let isOpenForMessages: Bool
    }

    enum Event: Sendable {
        case request(UInt32, Request)
        case message(UInt32, [UInt8])
        case inputClosed(UInt32)
        /// Refused already; `response` goes back.
        case refused(response: [UInt8])
    }

    private struct Stream {
        let isStream: Bool
        var inputIsOpen: Bool
        var hasSentData = false
    }

    /// More calls at once than a correct client of ours needs, few enough to bound memory.
    static let maxStreams = 4096

    private var parser = FrameParser()
    private var streams: [UInt32: Stream] = [:]
    private var lastStreamID: UInt32 = 0

    mutating func receive(_ bytes: some Collection<UInt8>) throws(TTRPCViolation) -> [Event] {
        parser.receive(bytes)
        var events: [Event] = []
        while let element = parser.next() {
            switch element {
            case .frame(let header, let message): try handle(header, message, &events)
            case .oversized(let header): try refuseOversized(header, &events)
            }
        }
        return events
    }

    // MARK: Sending

    /// A data frame, or nil if the stream is over.
    mutating func data(_ message: [UInt8], on id: UInt32) -> [UInt8]? {
        guard streams[id]?.isStream == true else { return nil }
        streams[id]?.hasSentData = true
        return encodeFrame(.data, streamID: id, message)
    }

    /// Ends the stream well. A stream of data ends with an empty last data frame, a call with its response.
    mutating func finish(_ payload: [UInt8], on id: UInt32) -> [UInt8]? {
        guard let stream = streams.removeValue(forKey: id) else { return nil }
        if stream.isStream, stream.hasSentData || payload.isEmpty {
            let last = payload.isEmpty ? [] : encodeFrame(.data, streamID: id, payload)
            return last + encodeFrame(.data, streamID: id, flags: [.remoteClosed, .noData], [])
        }
        var response = Ttrpc_Response()
        response.payload = Data(payload)
        return Self.encode(response, on: id)
    }

    /// Ends the stream with an error.
    mutating func fail(_ status: TTRPCStatus, on id: UInt32) -> [UInt8]? {
        guard streams.removeValue(forKey: id) != nil else { return nil }
        return Self.failure(status, on: id)
    }

    // MARK: Receiving

    private mutating func handle(
        _ header: FrameHeader,
        _ message: ArraySlice<UInt8>,
        _ events: inout [Event],
    ) throws(TTRPCViolation) {
        let id = header.streamID
        switch FrameType(rawValue: header.type) {
        case .request: try open(header, message, &events)
        case .data:
            guard let stream = streams[id] else {
                // Our end of the stream may have finished while this was on its way.
                if id % 2 == 1, id <= lastStreamID { return }
                throw .dataOnUnknownStream(id)
            }
            guard stream.inputIsOpen else { throw .dataAfterClose(id) }
            if !header.flags.contains(.noData) { events.append(.message(id, Array(message))) }
            if header.flags.contains(.remoteClosed) {
                streams[id]?.inputIsOpen = false
                events.append(.inputClosed(id))
            }
        case .response: throw .unexpectedFrame(.response, streamID: id)
        case nil: throw .unknownFrameType(header.type, streamID: id)
        }
    }

    private mutating func open(
        _ header: FrameHeader,
        _ message: ArraySlice<UInt8>,
        _ events: inout [Event],
    ) throws(TTRPCViolation) {
        try claim(header.streamID)
        guard let request = try? Ttrpc_Request(serializedBytes: Array(message)) else {
            throw .malformedEnvelope(streamID: header.streamID)
        }
        guard streams.count < Self.maxStreams else {
            let status = TTRPCStatus(.resourceExhausted, "more than \(Self.maxStreams) calls at once")
            return events.append(.refused(response: Self.failure(status, on: header.streamID)))
        }
        let isOpen = header.flags.contains(.remoteOpen)
        let isStream = isOpen || header.flags.contains(.remoteClosed)
        streams[header.streamID] = Stream(isStream: isStream, inputIsOpen: isOpen)
        let parsed = Request(
            method: TTRPCMethod(service: request.service, name: request.method),
            payload: Array(request.payload),
            timeout: request.timeoutNano > 0 ? .nanoseconds(request.timeoutNano) : nil,
            metadata: request.metadata.map { ($0.key, $0.value) },
            isStream: isStream,
            isOpenForMessages: isOpen,
        )
        events.append(.request(header.streamID, parsed))
    }

    private mutating func refuseOversized(_ header: FrameHeader, _ events: inout [Event]) throws(TTRPCViolation) {
        let id = header.streamID
        if FrameType(rawValue: header.type) == .request { try claim(id) } else { streams[id] = nil }
        let status = TTRPCStatus(
            .resourceExhausted,
            "message of \(header.length) bytes is above the limit of \(FrameHeader.maxLength)",
        )
        events.append(.refused(response: Self.failure(status, on: id)))
    }

    private mutating func claim(_ id: UInt32) throws(TTRPCViolation) {
        guard id % 2 == 1, id > lastStreamID else { throw .streamIDNotNew(id, last: lastStreamID) }
        lastStreamID = id
    }

    private static func failure(_ status: TTRPCStatus, on id: UInt32) -> [UInt8] {
        var response = Ttrpc_Response()
        response.status.code = status.code.rawValue
        response.status.message = status.message
        return encode(response, on: id)
    }

    private static func encode(_ response: Ttrpc_Response, on id: UInt32) -> [UInt8] {
        // Encoding a message without required fields cannot fail.
        let bytes: [UInt8] = (try? response.serializedBytes()) ?? []
        return encodeFrame(.response, streamID: id, bytes)
    }
}
