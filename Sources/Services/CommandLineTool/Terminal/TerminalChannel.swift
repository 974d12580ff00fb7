internal import LinuxSystem
internal import Synchronization

/// One end of a terminal's socket. Any thread; one task receives.
final class TerminalChannel: Sendable {
    private struct Incoming {
        var decoder = TerminalFrame.Decoder()
        var frames: [TerminalFrame] = []
    }

    private let socket: OwnedFD
    private let reading: EventLoopThread
    private let writing: EventLoopThread
    private let incoming = Mutex(Incoming())
    private let closed = Atomic(false)

    /// By this end.
    var isClosed: Bool { closed.load(ordering: .relaxed) }

    init(_ socket: consuming OwnedFD) throws {
        try socket.setBlocking()
        self.socket = socket
        reading = try EventLoopThread(name: "terminal-in")
        writing = try EventLoopThread(name: "terminal-out")
    }

    deinit {
        reading.stop()
        writing.stop()
    }

    /// Waits for a peer that is slow, until it is closed. Throws when it is gone.
    func send(_ frame: TerminalFrame) async throws {
        let bytes = frame.encoded
        try await writing.run { [self] _ in try socket.writeAll(bytes) }
    }

    /// The next frame; nil once the peer is gone, even if it had not read all that was sent to it.
    func receive() async throws -> TerminalFrame? {
        while true {
            if let frame = incoming.withLock({ $0.frames.isEmpty ? nil : $0.frames.removeFirst() }) { return frame }
            let bytes: [UInt8]
            do {
                let read = try await reading.run { [self] _ in try socket.read(upTo: 65536) }
                guard case .bytes(let some) = read else { return nil }
                bytes = some
            } catch let error as SyscallError where error.errno == .connectionReset {
                return nil
            }
            try incoming.withLock { $0.frames += try $0.decoder.feed(bytes) }
        }
    }

    /// Ends it for both, and whoever waits for it.
    func close() {
        closed.store(true, ordering: .relaxed)
        // One whose peer has gone is as closed as can be.
        try? socket.shutDown()
    }
}
