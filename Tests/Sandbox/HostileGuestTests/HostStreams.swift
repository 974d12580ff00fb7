import LinuxSystem
import Synchronization

/// The lines of a guest's console that are text. Always reads. Any thread; guarded by `line`.
final class ConsoleLines: Sendable {
    private static let maxLine = 200

    let lines: AsyncStream<String>
    private let continuation: AsyncStream<String>.Continuation
    private let descriptor: OwnedFD
    private let line = Mutex<[UInt8]>([])

    init(adopting descriptor: consuming OwnedFD, on thread: EventLoopThread) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        (lines, continuation) = AsyncStream.makeStream()
        thread.submit { [self] loop in
            do throws(SyscallError) {
                try loop.whileReadable(self.descriptor) {
                    if self.drain() { return true }
                    self.continuation.finish()
                    return false
                }
            } catch {
                continuation.finish()
            }
        }
    }

    /// False at the end.
    private func drain() -> Bool {
        guard let outcome = try? descriptor.read(upTo: 65536) else { return false }
        switch outcome {
        case .wouldBlock: return true
        case .endOfFile: return false
        case .bytes(let bytes):
            line.withLock { line in
                for byte in bytes {
                    if byte == 0x0A {
                        if line.count <= Self.maxLine, line.allSatisfy({ (0x20..<0x7F).contains($0) }) {
                            continuation.yield(String(decoding: line, as: UTF8.self))
                        }
                        line.removeAll(keepingCapacity: true)
                    } else if line.count <= Self.maxLine {
                        line.append(byte)
                    }
                }
            }
            return true
        }
    }
}

/// The host's end of a guest's port or network: takes whatever comes, and says some MiB of nothing as fast as it goes.
final class NoisyPeer: Sendable {
    private static let maxNoise = 16 << 20

    private let descriptor: OwnedFD

    /// `phrase` is said over and over, whole.
    init(adopting descriptor: consuming OwnedFD, saying phrase: [UInt8], on thread: EventLoopThread)
        throws(SyscallError)
    {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        let noise = Array(repeatElement(phrase, count: 16384 / phrase.count).joined())
        thread.submit { [self] loop in
            var watch: EventLoop.Watch?
            var rest = noise[...]
            var written = 0
            func ready(_ readiness: EventLoop.Readiness) {
                guard let watch else { return }
                if readiness.contains(.writable) {
                    if case .wrote(let count)? = try? self.descriptor.write(rest) {
                        written += count
                        rest = rest.dropFirst(count)
                        if rest.isEmpty { rest = noise[...] }
                    }
                    if written >= Self.maxNoise { loop.change(watch, to: .readable) }
                }
                if !readiness.isDisjoint(with: [.readable, .hangUp, .error]) {
                    let outcome = try? self.descriptor.read(upTo: 1 << 20)
                    if outcome == nil || outcome == .endOfFile { loop.remove(watch) }
                }
            }
            watch = try? loop.watch(self.descriptor, for: [.readable, .writable], ready)
        }
    }
}
