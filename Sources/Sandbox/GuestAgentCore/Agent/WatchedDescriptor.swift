internal import LinuxSystem

/// A descriptor with its place in the event loop. Confined to the loop's thread. Closes when it is released.
///
/// While nothing is wanted from it, it is not watched at all: epoll reports a hang-up unasked, for ever.
final class WatchedDescriptor {
    let fd: OwnedFD
    private let loop: EventLoop
    private var watch: EventLoop.Watch?
    private var interest: EventLoop.Interest = []
    private var handler: ((EventLoop.Readiness) -> Void)?

    init(_ fd: consuming OwnedFD, on loop: EventLoop) {
        self.fd = fd
        self.loop = loop
    }

    deinit {
        if let watch { loop.remove(watch) }
    }

    /// Called while ready for what `want` asked. It must not hold on to the owner of this object.
    func onReady(_ handler: @escaping (EventLoop.Readiness) -> Void) {
        self.handler = handler
    }

    func want(_ wanted: EventLoop.Interest) {
        if wanted == interest { return }
        interest = wanted
        if wanted.isEmpty {
            if let watch { loop.remove(watch) }
            watch = nil
        } else if let watch {
            loop.change(watch, to: wanted)
        } else {
            do throws(SyscallError) {
                watch = try loop.watch(fd, for: wanted) { [weak self] in self?.handler?($0) }
            } catch {
                // Only memory and the kernel's limit on watches can fail here. The owner then hears of nothing more on
                // this descriptor and ends by its timeout or with its client.
                KernelLog.shared.warning("cannot watch a descriptor: \(error)")
                interest = []
            }
        }
    }

    /// Ends the watch, and the reference to whatever the handler holds.
    func stop() {
        want([])
        handler = nil
    }
}
