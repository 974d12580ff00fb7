import LinuxSystem
import Testing

@testable import Sandboxing

@Suite("Console tail", .timeLimit(.minutes(10))) struct ConsoleTailTests {
    @Test func `what was written is there after catching up, though the stream stays open`() async throws {
        let thread = try EventLoopThread(name: "console-tail")
        defer { thread.stop() }
        let pair = try OwnedFD.socketPair(nonBlocking: true)
        let writer = try pair.second.duplicate()
        let tail = try ConsoleTail(adopting: pair.keepFirst(), on: thread)
        // A loop that has not come to it yet, however long it is given.
        try thread.suspend()
        // More than one read takes.
        try writer.writeAll(String(repeating: "boot ", count: 10_000) + "panic")
        #expect(tail.text.isEmpty)
        await tail.catchUp()
        #expect(tail.text.utf8.count == 50_005)
        #expect(tail.text.hasSuffix("boot panic"))
    }
}
