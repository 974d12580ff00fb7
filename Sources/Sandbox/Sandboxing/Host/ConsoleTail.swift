package import LinuxSystem
internal import Synchronization

/// Keeps the last bytes that a guest or its machine's process wrote. Always reads, so that nobody blocks on writing.
/// Any thread; guarded by `kept`.
package final class ConsoleTail: Sendable {
    /// A panic with its stack fits; a guest that writes without end does not grow the host.
    package static let capacity = 64 << 10
    private static let readSize = 16 << 10
    /// 2 MiB, which no pipe or socket of ours holds. A process that the writer left behind may write without end.
    private static let maxReadsToCatchUp = 128

    private let descriptor: OwnedFD
    private let thread: EventLoopThread
    private let kept = Mutex<[UInt8]>([])

    package init(adopting descriptor: consuming OwnedFD, on thread: EventLoopThread) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        self.thread = thread
        thread.submit { [self] loop in
            do throws(SyscallError) {
                try loop.whileReadable(self.descriptor) { self.readOnce() != .end }
            } catch {
                append(Array("[console not read: \(error)]\n".utf8))
            }
        }
    }

    /// Text without carriage returns and control characters: it goes to a terminal.
    package var text: String {
        let bytes = kept.withLock { $0.filter { $0 == 0x0A || $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F } }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Returns when what was written before the call is in `text`: everything, if the writer has ended.
    ///
    /// That its end is known does not mean that the loop has read all of it. The end of the stream is not waited for: a process
    /// that the writer left behind may hold it open.
    package func catchUp() async {
        await withCheckedContinuation { continuation in
            thread.submit { [self] _ in
                for _ in 0..<Self.maxReadsToCatchUp { guard readOnce() == .bytes else { break } }
                continuation.resume()
            }
        }
    }

    private enum Outcome {
        case bytes
        case nothingYet
        case end
    }

    /// On the loop's thread, so that all is kept in its order.
    private func readOnce() -> Outcome {
        do throws(SyscallError) {
            switch try descriptor.read(upTo: Self.readSize) {
            case .bytes(let bytes):
                append(bytes)
                return .bytes
            case .wouldBlock: return .nothingYet
            case .endOfFile: return .end
            }
        } catch {
            return .end  // Its writer is gone, with whatever it did not write.
        }
    }

    private func append(_ bytes: [UInt8]) {
        kept.withLock { kept in
            kept += bytes
            if kept.count > Self.capacity { kept.removeFirst(kept.count - Self.capacity) }
        }
    }
}
