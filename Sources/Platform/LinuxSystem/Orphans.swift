internal import CLinux
internal import Glibc

/// Children that this process did not start: the first process of a machine inherits every orphan.
package enum Orphans {
    /// A descriptor that becomes readable when a child ends; `SIGCHLD` is blocked from now on.
    package static func signalDescriptor() throws(SyscallError) -> OwnedFD {
        OwnedFD(adopting: try checked("signalfd", clinux_signal_descriptor(SIGCHLD)))
    }

    /// Reaps every child that has ended.
    ///
    /// - Parameter claim: Reaps a child with that pid itself, through its own pidfd, and returns true if the child is
    ///   one that was started and is waited for.
    package static func reap(claiming claim: (Int32) -> Bool) {
        while true {
            let pid = clinux_peek_ended_child()
            // ECHILD is as good as none.
            if pid <= 0 { return }
            // The child stays waitable, so a claim that reaps nothing would be asked again for ever.
            if claim(pid) { continue }
            if clinux_discard_child(pid) < 0 { return }
        }
    }
}
