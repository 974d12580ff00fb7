/// A descriptor with its place in the event loop. Confined to the loop's thread. Closes when it is released.
///
/// It is watched only for what is wanted now, and not at all while nothing is: epoll reports a hang-up unasked, for ever.
package final class WatchedDescriptor {
    package let fd: OwnedFD
    private let loop: EventLoop
    private var watch: EventLoop.Watch?
    private var interest: EventLoop.Interest = []
    /// Called while something that was wanted is possible, or the peer is gone. It must not hold on to the owner of this object.
    package var ready: (EventLoop.Readiness) -> Void = { _ in }

    package init(_ descriptor: consuming OwnedFD, on loop: EventLoop) {
        fd = descriptor
        self.loop = loop
    }

    package convenience init(nonBlocking descriptor: consuming OwnedFD, on loop: EventLoop) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.init(descriptor, on: loop)
    }

    deinit { unwatch() }

    /// Only memory and the kernel's limit on watches can fail, and only where nothing was wanted before.
    package func want(_ wanted: EventLoop.Interest) throws(SyscallError) {
        guard wanted != interest else { return }
        if wanted.isEmpty { return unwatch() }
        if let watch {
            loop.change(watch, to: wanted)
        } else {
            watch = try loop.watch(fd, for: wanted) { [weak self] in self?.ready($0) }
        }
        interest = wanted
    }

    package func add(_ more: EventLoop.Interest) throws(SyscallError) { try want(interest.union(more)) }
    package func drop(_ less: EventLoop.Interest) throws(SyscallError) { try want(interest.subtracting(less)) }

    /// Wants nothing.
    package func unwatch() {
        if let watch { loop.remove(watch) }
        watch = nil
        interest = []
    }

    /// Ends the watch, and the reference to whatever the handler holds.
    package func stop() {
        unwatch()
        ready = { _ in }
    }
}
