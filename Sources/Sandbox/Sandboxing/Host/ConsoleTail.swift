package import LinuxSystem
internal import Synchronization

/// Keeps the last bytes that a guest or its machine's process wrote. Always reads, so that nobody blocks on writing.
/// Any thread; guarded by `kept`.
package final class ConsoleTail: Sendable {
    /// A panic with its stack fits; a guest that writes without end does not grow the host.
    package static let capacity = 64 << 10

    private let descriptor: OwnedFD
    private let kept = Mutex<[UInt8]>([])

    package init(adopting descriptor: consuming OwnedFD, on thread: EventLoopThread) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        thread.submit { [self] loop in
            do throws(SyscallError) {
                try loop.whileReadable(self.descriptor, drain)
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

    /// False at the end.
    private func drain() -> Bool {
        do throws(SyscallError) {
            switch try descriptor.read(upTo: 16384) {
            case .bytes(let bytes):
                append(bytes)
                return true
            case .wouldBlock: return true
            case .endOfFile: return false
            }
        } catch {
            return false  // Its writer is gone, with whatever it did not write.
        }
    }

    private func append(_ bytes: [UInt8]) {
        kept.withLock { kept in
            kept += bytes
            if kept.count > Self.capacity { kept.removeFirst(kept.count - Self.capacity) }
        }
    }
}
