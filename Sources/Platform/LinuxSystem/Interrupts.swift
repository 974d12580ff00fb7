internal import CLinux
internal import Synchronization

/// SIGINT and SIGTERM, for a process that has something to clean up.
package enum Interrupts {
    /// From now on the first of them calls `body`, on the loop's thread, and the second ends this process at once with
    /// `status`. That is done by the signal's handler, which needs no thread that may be stuck.
    package static func trap(
        on thread: EventLoopThread,
        secondExitsWith status: Int32,
        _ body: @escaping @Sendable () -> Void,
    ) async throws {
        let bell = try Bell()
        try await thread.run { loop in
            var watch: EventLoop.Watch?
            watch = try loop.watch(bell.value.descriptor, for: .readable) { _ in
                if let watch { loop.remove(watch) }
                body()
            }
        }
        try checked("sigaction", clinux_trap_interrupts(bell.value.descriptor.rawValue, status))
        bells.withLock { $0.append(bell) }
    }

    /// The handler may ring them as long as the process lives.
    private static let bells = Mutex<[Bell]>([])

    private final class Bell: Sendable {
        let value: Doorbell
        init() throws(SyscallError) { value = try Doorbell() }
    }
}
