import HostSession
import LinuxSystem
import Testing

@Suite("Streams of this process") struct StreamsTests {
    @Test(.timeLimit(.minutes(1))) func `what comes after the reader was cancelled is left to others`() async throws {
        let pipe = try OwnedFD.pipe()
        let reader = try Streams.Reader(descriptor: pipe.first.rawValue)
        try pipe.second.writeAll("before")
        let before = try await reader.read()
        #expect(before == Array("before".utf8))
        let waiting = Task { try await reader.read() }
        waiting.cancel()
        let nothing = try await waiting.value
        #expect(nothing == nil)
        try pipe.second.writeAll("after")
        #expect(try pipe.first.waitUntilReadable(for: .seconds(10)))
        #expect(try pipe.first.read(upTo: 65536) == .bytes(Array("after".utf8)))
    }
}
