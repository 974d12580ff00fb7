import Primitives
import Testing

@testable import WorkerProtocol

@Suite("Worker protocol") struct WorkerProtocolTests {
    private static let configuration: WorkerConfiguration = {
        var configuration = WorkerConfiguration(
            memoryBytes: 512 << 20,
            vcpus: 2,
            commandLine: "quiet",
            bootSegment: [1, 2, 3],
            controlPort: "voidbox.control",
            disks: [
                .init(serial: "root", isReadOnly: true),
                .init(
                    serial: "disk0",
                    isReadOnly: false,
                    limit: TransferLimit(bytes: .init(perSecond: 1 << 20, burst: 4096), operations: .init(perSecond: 9)),
                ),
            ],
            shares: [.init(tag: "share0", isReadOnly: true)],
        )
        configuration.network = .init(mac: .ofGuest)
        configuration.waivedJailLayers = ["landlock"]
        configuration.vsock = .init(guestCID: 3)
        return configuration
    }()

    @Test func `a configuration survives its encoding`() throws {
        let decoded = try WorkerConfiguration(decoding: Self.configuration.encoded)
        #expect(decoded == Self.configuration)
    }

    @Test func `a configuration without a network has none after its encoding`() throws {
        var configuration = Self.configuration
        configuration.network = nil
        #expect(try WorkerConfiguration(decoding: configuration.encoded) == configuration)
    }

    @Test func `a configuration that is cut anywhere is refused`() {
        let bytes = Self.configuration.encoded
        for count in 0..<bytes.count {
            #expect(throws: WorkerConfiguration.Violation.self) {
                try WorkerConfiguration(decoding: Array(bytes.prefix(count)))
            }
        }
        #expect(throws: WorkerConfiguration.Violation.trailing(count: 1)) {
            try WorkerConfiguration(decoding: bytes + [0])
        }
    }

    @Test func `the sockets of a vsock are behind all else`() throws {
        #expect(Self.configuration.vsockListenerDescriptor == 14)
        #expect(Self.configuration.vsockDiallerDescriptor == 15)
        var without = Self.configuration
        without.network = nil
        #expect(without.vsockListenerDescriptor == 13)
        without.vsock = nil
        #expect(try WorkerConfiguration(decoding: without.encoded).vsock == nil)
    }

    @Test(arguments: [1, 2, .max] as [UInt32])
    func `a guest is not called what others are`(_ guestCID: UInt32) {
        var configuration = Self.configuration
        configuration.vsock = .init(guestCID: guestCID)
        #expect(throws: WorkerConfiguration.Violation.guestCID(guestCID)) {
            try WorkerConfiguration(decoding: configuration.encoded)
        }
    }

    @Test func `dials and their answers survive their encoding, and nothing else is one`() {
        let request = DialRequest(id: 0x0102_0304, port: .max)
        #expect(DialRequest(decoding: request.encoded) == request)
        #expect(DialRequest(decoding: request.encoded + [0]) == nil)
        #expect(DialRequest(decoding: []) == nil)
        for isConnected in [true, false] {
            let reply = DialReply(id: 7, isConnected: isConnected)
            #expect(DialReply(decoding: reply.encoded) == reply)
            #expect(DialReply(decoding: Array(reply.encoded.dropLast())) == nil)
        }
    }

    @Test(arguments: 1...7) func `reports arrive whole in pieces of any size`(_ size: Int) throws {
        let reports: [WorkerReport] = [
            .started, .warning("no landlock"), .ended(.failed("processor 1 cannot run")), .ended(.guestReset),
            .ended(.tripleFault), .ended(.setUpFailed("")),
        ]
        let bytes = reports.flatMap(\.encoded)
        var parser = WorkerReportParser()
        var received: [WorkerReport] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            received += try parser.receive(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        #expect(received == reports)
    }

    @Test func `a worker that was taken over cannot make its parent buffer without end`() {
        var parser = WorkerReportParser()
        #expect(throws: WorkerReportParser.Violation.tooLong(.max)) {
            try parser.receive([2, 0xFF, 0xFF, 0xFF, 0xFF])
        }
        var another = WorkerReportParser()
        #expect(throws: WorkerReportParser.Violation.kind(9)) { try another.receive([9, 0, 0, 0, 0]) }
    }
}
