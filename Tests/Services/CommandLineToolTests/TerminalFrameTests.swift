import Sandboxing
import Testing

@testable import CommandLineTool

@Suite("Terminals that are left and come back to") struct TerminalFrameTests {
    private static let frames: [TerminalFrame] = [
        .input([3, 27]), .size(TerminalSize(columns: 300, rows: 25)), .detach, .interrupt, .restored, .began(run: "id"),
        .output([]), .exited, .ended(130, "why"), .ended(-1, ""), .detached, .dismissed("elsewhere"),
    ]

    @Test(arguments: [1, 3, 1000])
    func `frames arrive as they were sent, however they are cut`(_ size: Int) throws {
        let bytes = Self.frames.flatMap(\.encoded)
        var decoder = TerminalFrame.Decoder()
        var received: [TerminalFrame] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            received += try decoder.feed(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        #expect(received == Self.frames)
    }

    @Test func `a frame that is too long or too short is a violation, an unknown one is skipped`() throws {
        var decoder = TerminalFrame.Decoder()
        #expect(throws: TerminalFrame.Violation.tooLong(kind: 66, count: 0x0010_0001)) {
            try decoder.feed([66, 0x00, 0x10, 0x00, 0x01])
        }
        decoder = TerminalFrame.Decoder()
        #expect(throws: TerminalFrame.Violation.malformed(kind: 2, count: 1)) { try decoder.feed([2, 0, 0, 0, 1, 9]) }
        decoder = TerminalFrame.Decoder()
        #expect(try decoder.feed([99, 0, 0, 0, 2, 1, 2] + TerminalFrame.detach.encoded) == [.detach])
    }

    @Test func `the keys that leave are taken out of what is typed`() throws {
        var keys = try #require(DetachKeys(DetachKeys.standard))
        #expect(keys.take([0x61, 0x10]) == ([0x61], false), "held back until it is clear")
        #expect(keys.take([0x62]) == ([0x10, 0x62], false))
        #expect(keys.take([0x10, 0x10]) == ([0x10], false), "the second one may be the beginning")
        #expect(keys.take([0x11, 0x63]) == ([], true))
        var none = try #require(DetachKeys(""))
        #expect(none.take([0x10, 0x11]) == ([0x10, 0x11], false))
        var other = try #require(DetachKeys("ctrl-],d"))
        #expect(other.take([0x1D, 0x64]) == ([], true))
    }

    @Test(arguments: ["ctrl-1", "ctrl-", "alt-x", "pq", "ctrl-p ctrl-q", "é"])
    func `what names no keys is refused`(_ text: String) {
        #expect(DetachKeys(text) == nil)
    }
}
