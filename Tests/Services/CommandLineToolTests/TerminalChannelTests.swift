import LinuxSystem
import Testing

@testable import CommandLineTool

@Suite("Socket of a terminal") struct TerminalChannelTests {
    @Test(arguments: [true, false])
    func `a peer that ends is the end of the frames, whether or not it had read all`(_ hasRead: Bool) async throws {
        let (own, other) = try OwnedFD.socketPair().relinquish()
        let channel = try TerminalChannel(OwnedFD(adopting: own))
        try await channel.send(.input([104, 105]))
        try end(OwnedFD(adopting: other), reading: hasRead, saying: .exited)
        #expect(try await channel.receive() == .exited)
        #expect(try await channel.receive() == nil)
    }

    private func end(_ peer: consuming OwnedFD, reading: Bool, saying frame: TerminalFrame) throws {
        if reading { _ = try peer.read(upTo: 4096) }
        try peer.writeAll(frame.encoded)
    }
}
