import Testing

@testable import VirtioDevices

@Suite("Vsock packet") struct VsockPacketTests {
    /// As a guest with the number 3 connects from its port 0x1234 to the host's port 80.
    private static let request: [UInt8] = [
        3, 0, 0, 0, 0, 0, 0, 0,  // Source CID.
        2, 0, 0, 0, 0, 0, 0, 0,  // Destination CID.
        0x34, 0x12, 0, 0,  // Source port.
        80, 0, 0, 0,  // Destination port.
        0, 0, 0, 0,  // Length.
        1, 0,  // Stream.
        1, 0,  // Request.
        0, 0, 0, 0,  // Flags.
        0, 0, 4, 0,  // Window: 256 KiB.
        7, 0, 0, 0,  // Taken.
    ]

    @Test func `a header is read by field and written the same`() throws {
        let packet = try VsockPacket(parsing: Self.request)
        #expect(packet.sourceCID == 3 && packet.destinationCID == 2)
        #expect(packet.sourcePort == 0x1234 && packet.destinationPort == 80)
        #expect(packet.operation == .request && packet.type == VsockPacket.streamType)
        #expect(packet.window == 256 << 10 && packet.taken == 7)
        #expect(packet.encoded == Self.request)
        #expect(packet.encoded.count == VsockPacket.headerLength)
    }

    @Test(arguments: 0..<44) func `a header that is cut is refused`(_ count: Int) {
        #expect(throws: VsockPacket.Violation.headerTooShort(count: count)) {
            try VsockPacket(parsing: Array(Self.request.prefix(count)))
        }
    }

    @Test func `unknown operations and flags are kept out`() throws {
        var bytes = Self.request
        bytes[30] = 8
        bytes[32] = 0xFF
        let packet = try VsockPacket(parsing: bytes)
        #expect(packet.operation == nil)
        #expect(packet.shutdown == .both)
    }

    @Test func `a refusal goes back where the packet came from`() throws {
        let refusal = try VsockPacket(parsing: Self.request).refusal
        #expect(refusal.sourceCID == 2 && refusal.destinationCID == 3)
        #expect(refusal.sourcePort == 80 && refusal.destinationPort == 0x1234)
        #expect(refusal.operation == .reset && refusal.length == 0)
    }
}

@Suite("Vsock greeting") struct VsockGreetingTests {
    @Test(arguments: 1...40) func `a line is found in pieces of any size, and what is behind it is kept`(_ size: Int) {
        let bytes = Array("CONNECT 5201\nhello\nworld".utf8)
        var greeting = VsockGreeting()
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            switch greeting.receive(piece) {
            case .incomplete: continue
            case .connect(let port, let early):
                #expect(port == 5201)
                #expect(early + rest == Array("hello\nworld".utf8))
                return
            case .refused: Issue.record("refused")
            }
        }
        Issue.record("no line")
    }

    @Test(arguments: [
        "\n", "CONNECT\n", "CONNECT \n", "CONNECT -1\n", "CONNECT +1\n", "CONNECT 0x10\n", "CONNECT 4294967296\n",
        "CONNECT 1 \n", "connect 1\n", "GET / HTTP/1.1\r\n", "CONNECT 1\r\n", "CONNECT \u{0661}\n",
        "CONNECT 00000000000000000000000001\n", "CONNECT 000000000000000000000000000000000000",
    ])
    func `anything else is refused`(_ text: String) {
        var greeting = VsockGreeting()
        #expect(greeting.receive(Array(text.utf8)) == .refused)
    }

    @Test func `the largest port is one`() {
        var greeting = VsockGreeting()
        #expect(greeting.receive(Array("CONNECT 4294967295\n".utf8)) == .connect(port: .max, rest: []))
        #expect(VsockGreeting.answer(hostPort: 1 << 30) == Array("OK 1073741824\n".utf8))
    }
}
