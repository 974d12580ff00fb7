internal import LinuxSystem
internal import Sandboxing
internal import Synchronization
internal import WorkerProtocol

/// Reads what a worker reports, to the end. Any thread; guarded by `state`.
final class WorkerReports: Sendable {
    private struct State {
        var parser = WorkerReportParser()
        var end: WorkerEnd?
        var warnings: [String] = []
    }

    private let descriptor: OwnedFD
    private let state = Mutex(State())
    private let finished = OneShot<Bool>()

    init(adopting descriptor: consuming OwnedFD, on thread: EventLoopThread) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        thread.submit { [self] loop in
            do throws(SyscallError) {
                try loop.whileReadable(self.descriptor) {
                    if self.drain() { return true }
                    self.finished.fulfil(true)
                    return false
                }
            } catch {
                finished.fulfil(false)
            }
        }
    }

    /// A worker that a guest has taken over does not fill this process.
    private static let maxWarnings = 100

    var warnings: [String] { state.withLock { $0.warnings } }

    /// What the worker said of its end, once it has said all; nil if it said nothing.
    func lastWord() async throws -> WorkerEnd? {
        _ = try await finished.wait()
        return state.withLock { $0.end }
    }

    /// False at the end.
    private func drain() -> Bool {
        do {
            switch try descriptor.read(upTo: 16384) {
            case .bytes(let bytes):
                try state.withLock { state in
                    for report in try state.parser.receive(bytes) {
                        switch report {
                        case .ended(let end): state.end = end
                        case .warning(let text) where state.warnings.count < Self.maxWarnings:
                            state.warnings.append(text)
                        case .started, .warning: break
                        }
                    }
                }
                return true
            case .wouldBlock: return true
            case .endOfFile: return false
            }
        } catch {
            // A worker that a guest has taken over may say anything. Its end tells what there is to tell.
            return false
        }
    }
}
