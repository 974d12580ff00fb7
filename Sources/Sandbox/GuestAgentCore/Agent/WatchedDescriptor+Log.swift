internal import LinuxSystem

extension WatchedDescriptor {
    /// As `want`. Where that fails, the owner hears of nothing more on this descriptor and ends by its timeout or with its
    /// client.
    func watch(for wanted: EventLoop.Interest) {
        do throws(SyscallError) {
            try want(wanted)
        } catch {
            KernelLog.shared.warning("cannot watch a descriptor: \(error)")
        }
    }
}
