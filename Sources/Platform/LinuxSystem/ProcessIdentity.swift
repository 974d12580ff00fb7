internal import CLinux
internal import Glibc

/// A process of this host, told from later ones with the same number by when it started.
package struct ProcessIdentity: Hashable, Sendable, Codable {
    package let pid: Int32
    /// In clock ticks since the host booted.
    package let startTime: UInt64

    /// The process that has this number now; nil if there is none.
    package init?(of pid: Int32) {
        // Field 22 of /proc/PID/stat. The second field may hold anything, spaces and brackets too.
        guard let stat = HostFacts.text(of: "/proc/\(pid)/stat"), let bracket = stat.lastIndex(of: ")") else {
            return nil
        }
        let fields = stat[stat.index(after: bracket)...].split(separator: " ")
        guard fields.count > 19, let startTime = UInt64(fields[19]) else { return nil }
        self.init(pid: pid, startTime: startTime)
    }

    package init(pid: Int32, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }

    package static var current: ProcessIdentity? { ProcessIdentity(of: HostFacts.processID) }

    package var exists: Bool { ProcessIdentity(of: pid) == self }

    /// Sends a signal to this process and to none that got its number later. Throws `ESRCH` if it is gone.
    package func signal(_ number: Int32) throws(SyscallError) {
        guard pid > 0 else { throw SyscallError(.noSuchProcess, call: "pidfd_open", on: String(pid)) }
        // The descriptor stays with the process that it was opened for, so what is checked after that holds.
        let descriptor = OwnedFD(adopting: try checked("pidfd_open", on: String(pid), clinux_pidfd_open(pid)))
        guard exists else { throw SyscallError(.noSuchProcess, call: "pidfd_open", on: String(pid)) }
        try checked("pidfd_send_signal", on: String(pid), clinux_pidfd_send_signal(descriptor.rawValue, number))
    }
}
