internal import CLinux
internal import Glibc

/// An eventfd: a counter that one side rings and the other side waits for.
package struct Doorbell: ~Copyable, Sendable {
    package let descriptor: OwnedFD

    package init() throws(SyscallError) {
        descriptor = OwnedFD(adopting: try retrying("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    }

    package func ring() {
        // Fails only when the counter is full: then it rings already.
        _ = eventfd_write(descriptor.rawValue, 1)
    }

    /// Takes what was rung since the last call; whether it was.
    @discardableResult
    package func answer() -> Bool {
        var value: eventfd_t = 0
        // SAFETY: eventfd_read stores one 8-byte value.
        return unsafe eventfd_read(descriptor.rawValue, &value) == 0
    }

    /// Blocks this thread until it rings.
    package func wait() throws(SyscallError) {
        while !answer() { _ = try descriptor.waitUntilReadable(for: .seconds(86_400)) }
    }
}
