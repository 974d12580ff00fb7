import Testing

@testable import TTRPC

/// Golden bytes by the tables of the protocol's specification.
@Suite("ttrpc frames") struct TTRPCFrameTests {
    private let method = TTRPCMethod(service: "s", name: "m")

    /// Request {service "s", method "m", payload 01}: field 1 "s", field 2 "m", field 3 01.
    private let request: [UInt8] = [0x0A, 0x01, 0x73, 0x12, 0x01, 0x6D, 0x1A, 0x01, 0x01]

    private func frame(_ id: UInt8, _ type: UInt8, _ flags: UInt8, _ message: [UInt8]) -> [UInt8] {
        [0, 0, 0, UInt8(message.count)]  // data length, big-endian
            + [0, 0, 0, id]  // stream id, big-endian
            + [type, flags] + message
    }

    @Test func `a unary call is a request without flags, on odd streams that grow`() throws {
        var client = ClientMachine()
        let first = try client.open(method, [1], kind: .unary)
        #expect(first.id == 1)
        #expect(first.bytes == frame(1, 1, 0, request))
        #expect(try client.open(method, [1], kind: .unary).bytes == frame(3, 1, 0, request))
    }

    @Test func `a client that sends more says remote open, one that does not says remote closed`() throws {
        var client = ClientMachine()
        #expect(try client.open(method, [1], kind: .stream).bytes == frame(1, 1, 0x02, request))
        #expect(try client.open(method, [1], kind: .serverStream).bytes == frame(3, 1, 0x01, request))
    }

    @Test func `the last frame of a client is data with remote closed and no data`() throws {
        var client = ClientMachine()
        _ = try client.open(method, [], kind: .stream)
        #expect(try client.data([7, 8], on: 1) == frame(1, 3, 0, [7, 8]))
        #expect(client.closeSending(on: 1) == frame(1, 3, 0x01 | 0x04, []))
        #expect(try client.data([9], on: 1) == nil, "nothing follows the end")
        #expect(client.closeSending(on: 1) == nil)
    }

    @Test func `a server answers a unary call with one response`() throws {
        var server = ServerMachine()
        let events = try server.receive(frame(1, 1, 0, request))
        guard case .request(1, let call)? = events.first else {
            Issue.record("no request: \(events)")
            return
        }
        #expect(call.method == method)
        #expect(call.payload == [1])
        #expect(!call.isStream && !call.isOpenForMessages)
        // Response {payload 05}: field 2.
        #expect(server.finish([5], on: 1) == frame(1, 2, 0, [0x12, 0x01, 0x05]))
        #expect(server.finish([5], on: 1) == nil, "a stream ends once")
    }

    @Test func `an error is a response with its status`() throws {
        var server = ServerMachine()
        _ = try server.receive(frame(1, 1, 0, request))
        // Response {status {code 5, message "x"}}: field 1 of field 1 and 2.
        let message: [UInt8] = [0x0A, 0x05, 0x08, 0x05, 0x12, 0x01, 0x78]
        #expect(server.fail(TTRPCStatus(.notFound, "x"), on: 1) == frame(1, 2, 0, message))
        var client = ClientMachine()
        _ = try client.open(method, [], kind: .unary)
        #expect(
            try client.receive(frame(1, 2, 0, message)) == [.response(1, .failure(TTRPCStatus(.notFound, "x")))]
        )
    }

    @Test func `a stream that has sent data ends with an empty last data frame`() throws {
        var server = ServerMachine()
        _ = try server.receive(frame(1, 1, 0x01, request))
        #expect(server.data([3], on: 1) == frame(1, 3, 0, [3]))
        #expect(server.finish([], on: 1) == frame(1, 3, 0x01 | 0x04, []))
    }

    @Test func `half-close reaches the server after the messages before it`() throws {
        var server = ServerMachine()
        var kinds: [String] = []
        let bytes = frame(1, 1, 0x02, request) + frame(1, 3, 0, [1]) + frame(1, 3, 0x01, [2])
        for event in try server.receive(bytes) {
            switch event {
            case .request: kinds.append("request")
            case .message(_, let message): kinds.append("message \(message)")
            case .inputClosed: kinds.append("closed")
            case .refused: kinds.append("refused")
            }
        }
        #expect(kinds == ["request", "message [1]", "message [2]", "closed"])
    }

    @Test func `frames may arrive in any pieces`() throws {
        let bytes = frame(1, 1, 0x02, request) + frame(1, 3, 0, [1, 2, 3]) + frame(3, 1, 0, request)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var server = ServerMachine()
            var rest = bytes[...]
            var count = 0
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...rest.count, using: &generator))
                count += try server.receive(piece).count
                rest = rest.dropFirst(piece.count)
            }
            #expect(count == 3)
        }
    }

    @Test func `a message above 4 MiB is skipped and refused, and the connection goes on`() throws {
        var server = ServerMachine()
        let length = UInt32(4 << 20) + 1
        let header: [UInt8] = [0, 0x40, 0, 1, 0, 0, 0, 1, 1, 0]  // 4 MiB + 1, stream 1, request
        var events = try server.receive(header)
        events += try server.receive([UInt8](repeating: 0, count: Int(length)))
        events += try server.receive(frame(3, 1, 0, request))
        #expect(events.count == 2)
        guard case .refused? = events.first, case .request(3, _)? = events.last else {
            Issue.record("\(events)")
            return
        }
        var client = ClientMachine()
        #expect(throws: TTRPCError.self) {
            try client.open(method, [UInt8](repeating: 0, count: 5 << 20), kind: .unary)
        }
    }

    @Test(arguments: [
        (
            name: "even stream", id: UInt8(2), type: UInt8(1), flags: UInt8(0),
            violation: TTRPCViolation.streamIDNotNew(2, last: 0)
        ),
        ("data on a stream nobody opened", 5, 3, 0, .dataOnUnknownStream(5)),
        ("response to a server", 1, 2, 0, .unexpectedFrame(.response, streamID: 1)),
        ("unknown type", 1, 9, 0, .unknownFrameType(9, streamID: 1)),
    ])
    func `what the protocol forbids is a violation`(
        _ fault: (name: String, id: UInt8, type: UInt8, flags: UInt8, violation: TTRPCViolation)
    ) {
        var server = ServerMachine()
        #expect(throws: fault.violation) { _ = try server.receive(frame(fault.id, fault.type, fault.flags, [])) }
    }

    @Test func `a stream identifier is used once`() throws {
        var server = ServerMachine()
        _ = try server.receive(frame(3, 1, 0, request))
        #expect(throws: TTRPCViolation.streamIDNotNew(1, last: 3)) { _ = try server.receive(frame(1, 1, 0, request)) }
    }

    @Test func `data after the end is a violation, data for a stream that we ended is not`() throws {
        var server = ServerMachine()
        _ = try server.receive(frame(1, 1, 0x02, request) + frame(1, 3, 0x05, []))
        #expect(throws: TTRPCViolation.dataAfterClose(1)) { _ = try server.receive(frame(1, 3, 0, [1])) }
        _ = try server.receive(frame(3, 1, 0x02, request))
        _ = server.finish([], on: 3)
        #expect(try server.receive(frame(3, 3, 0, [1])).isEmpty)
    }

    @Test func `an envelope that is no message is a violation`() {
        var server = ServerMachine()
        #expect(throws: TTRPCViolation.malformedEnvelope(streamID: 1)) {
            _ = try server.receive(frame(1, 1, 0, [0xFF, 0xFF]))
        }
        var client = ClientMachine()
        #expect(throws: TTRPCViolation.dataOnUnknownStream(1)) { _ = try client.receive(frame(1, 2, 0, [])) }
    }
}
