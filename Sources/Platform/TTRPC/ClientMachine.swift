internal import FoundationEssentials
internal import SwiftProtobuf
internal import TTRPCMessages

/// The client's side of one connection, without I/O: calls in, bytes out; bytes in, events out.
struct ClientMachine: Sendable {
    enum Event: Equatable, Sendable {
        /// The call or stream ended with a response.
        case response(UInt32, Result<[UInt8], TTRPCStatus>)
        case message(UInt32, [UInt8])
        /// The stream ended without one.
        case ended(UInt32)
    }

    enum Kind: Equatable, Sendable {
        case unary
        /// The client sends no more than the request.
        case serverStream
        case stream
    }

    private struct Stream {
        let isStream: Bool
        var outputIsOpen: Bool
    }

    private var parser = FrameParser()
    private var streams: [UInt32: Stream] = [:]
    private var nextStreamID: UInt32 = 1

    /// Opens a stream and returns its request.
    mutating func open(
        _ method: TTRPCMethod,
        _ payload: [UInt8],
        kind: Kind,
        timeout: Duration? = nil,
        metadata: [(key: String, value: String)] = [],
    ) throws(TTRPCError) -> (id: UInt32, bytes: [UInt8]) {
        var request = Ttrpc_Request()
        request.service = method.service
        request.method = method.name
        request.payload = Data(payload)
        request.timeoutNano = timeout.map(\.saturatedNanoseconds) ?? 0
        request.metadata = metadata.map { entry in
            var pair = Ttrpc_KeyValue()
            pair.key = entry.key
            pair.value = entry.value
            return pair
        }
        let message: [UInt8] = (try? request.serializedBytes()) ?? []
        guard message.count <= FrameHeader.maxLength else { throw .messageTooLong(message.count) }
        // After two thousand million calls the identifiers are used up; nothing lives that long on one connection.
        guard nextStreamID <= UInt32.max - 2 else { throw .closed(.failed("stream identifiers are used up")) }
        let id = nextStreamID
        nextStreamID += 2
        let flags: FrameFlags =
            switch kind {
            case .unary: []
            case .serverStream: .remoteClosed
            case .stream: .remoteOpen
            }
        streams[id] = Stream(isStream: kind != .unary, outputIsOpen: kind == .stream)
        return (id, encodeFrame(.request, streamID: id, flags: flags, message))
    }

    /// A data frame, or nil where the stream is over or was closed for sending.
    mutating func data(_ message: [UInt8], on id: UInt32) throws(TTRPCError) -> [UInt8]? {
        guard message.count <= FrameHeader.maxLength else { throw .messageTooLong(message.count) }
        guard streams[id]?.outputIsOpen == true else { return nil }
        return encodeFrame(.data, streamID: id, message)
    }

    mutating func closeSending(on id: UInt32) -> [UInt8]? {
        guard streams[id]?.outputIsOpen == true else { return nil }
        streams[id]?.outputIsOpen = false
        return encodeFrame(.data, streamID: id, flags: [.remoteClosed, .noData], [])
    }

    mutating func receive(_ bytes: some Collection<UInt8>) throws(TTRPCViolation) -> [Event] {
        parser.receive(bytes)
        var events: [Event] = []
        while let element = parser.next() {
            switch element {
            case .frame(let header, let message): try handle(header, message, &events)
            case .oversized(let header):
                guard streams.removeValue(forKey: header.streamID) != nil else {
                    throw .dataOnUnknownStream(header.streamID)
                }
                let text = "message of \(header.length) bytes is above the limit of \(FrameHeader.maxLength)"
                events.append(.response(header.streamID, .failure(TTRPCStatus(.resourceExhausted, text))))
            }
        }
        return events
    }

    private mutating func handle(
        _ header: FrameHeader,
        _ message: ArraySlice<UInt8>,
        _ events: inout [Event],
    ) throws(TTRPCViolation) {
        let id = header.streamID
        guard let type = FrameType(rawValue: header.type) else { throw .unknownFrameType(header.type, streamID: id) }
        guard let stream = streams[id] else { throw .dataOnUnknownStream(id) }
        switch type {
        case .request: throw .unexpectedFrame(.request, streamID: id)
        case .response:
            guard let response = try? Ttrpc_Response(serializedBytes: Array(message)) else {
                throw .malformedEnvelope(streamID: id)
            }
            streams[id] = nil
            events.append(.response(id, response.result))
        case .data:
            guard stream.isStream else { throw .unexpectedFrame(.data, streamID: id) }
            if !header.flags.contains(.noData) { events.append(.message(id, Array(message))) }
            if header.flags.contains(.remoteClosed) {
                streams[id] = nil
                events.append(.ended(id))
            }
        }
    }
}

extension Ttrpc_Response {
    fileprivate var result: Result<[UInt8], TTRPCStatus> {
        guard hasStatus, status.code != 0 else { return .success(Array(payload)) }
        return .failure(TTRPCStatus(TTRPCStatus.Code(rawValue: status.code) ?? .unknown, status.message))
    }
}

extension Duration {
    fileprivate var saturatedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let scaled = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if scaled.overflow { return .max }
        let sum = scaled.partialValue.addingReportingOverflow(attoseconds / 1_000_000_000)
        return sum.overflow ? .max : sum.partialValue
    }
}
