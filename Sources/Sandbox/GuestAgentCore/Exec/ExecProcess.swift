internal import LinuxSystem

/// Where an exec's output comes from: a pipe, or the manager's end of a terminal.
final class ExecOutputSource {
    /// What a pipe holds.
    static let readSize = 64 << 10

    let stream: OutputRing.Stream
    private(set) var descriptor: WatchedDescriptor?

    init(_ descriptor: WatchedDescriptor, stream: OutputRing.Stream) {
        self.descriptor = descriptor
        self.stream = stream
    }

    var isClosed: Bool { descriptor == nil }

    func read(upTo count: Int) -> OwnedFD.ReadOutcome {
        guard let descriptor else { return .endOfFile }
        do throws(SyscallError) {
            return try descriptor.fd.read(upTo: min(count, Self.readSize))
        } catch {
            // A terminal says EIO when the last program on it has gone. Any other error ends the output as well.
            return .endOfFile
        }
    }

    func close() {
        descriptor?.stop()
        descriptor = nil
    }
}

/// The parts of a started program. Confined to the loop's thread.
final class ExecProcess {
    let cage: ExecCage
    let pid: Int32
    let sources: [ExecOutputSource]
    let input: ExecInput?
    private let terminal: WatchedDescriptor?
    private let child: ChildProcess
    private let loop: EventLoop
    private var watch: EventLoop.Watch?

    init(
        _ child: consuming ChildProcess,
        cage: ExecCage,
        on loop: EventLoop,
        sources: [ExecOutputSource],
        input: ExecInput?,
        terminal: WatchedDescriptor?,
    ) {
        self.cage = cage
        self.loop = loop
        pid = child.pid
        self.child = child
        self.sources = sources
        self.input = input
        self.terminal = terminal
    }

    deinit {
        if let watch { loop.remove(watch) }
    }

    /// Calls `body` when the program has ended, until `reap` took its status.
    func onEnd(_ body: @escaping () -> Void) throws(SyscallError) {
        watch = try loop.watch(child.pidfd, for: .readable) { _ in body() }
    }

    /// The program's status, once it has ended.
    func reap() -> TerminationStatus? {
        do throws(SyscallError) {
            guard let status = try child.reap() else { return nil }
            if let watch { loop.remove(watch) }
            watch = nil
            return status
        } catch {
            KernelLog.shared.warning("cannot take the status of process \(pid): \(error)")
            return nil
        }
    }

    func resize(columns: UInt32, rows: UInt32) {
        guard let terminal, let columns = UInt16(exactly: columns), let rows = UInt16(exactly: rows) else { return }
        // The terminal may be gone already.
        _ = try? terminal.fd.setWindowSize(columns: columns, rows: rows)
    }
}
