internal import LinuxSystem

/// The host's end of a stream that a device serves: watched only for what can be used now, so that an idle or a dead peer
/// costs nothing. Confined to the thread of its loop.
final class HostStream {
    let descriptor: OwnedFD
    private let loop: EventLoop
    private var watch: EventLoop.Watch?
    private var interest: EventLoop.Interest = []
    /// Called when something that was wanted is possible, or the peer is gone.
    var ready: (EventLoop.Readiness) -> Void = { _ in }

    init(adopting descriptor: consuming OwnedFD, on loop: EventLoop) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        self.loop = loop
    }

    func want(_ wanted: EventLoop.Interest) throws(SyscallError) {
        guard wanted != interest else { return }
        if wanted.isEmpty {
            if let watch { loop.remove(watch) }
            watch = nil
        } else if let watch {
            loop.change(watch, to: wanted)
        } else {
            watch = try loop.watch(descriptor, for: wanted) { [unowned self] in ready($0) }
        }
        interest = wanted
    }

    func add(_ more: EventLoop.Interest) throws(SyscallError) { try want(interest.union(more)) }
    func drop(_ less: EventLoop.Interest) throws(SyscallError) { try want(interest.subtracting(less)) }
}
