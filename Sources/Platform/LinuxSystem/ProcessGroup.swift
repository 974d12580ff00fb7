internal import Glibc

/// A group of processes, named by its leader's pid.
package enum ProcessGroup {
    /// `SIGKILL`
    package static let kill = SIGKILL

    /// Sends a signal to every member. A group without members has nobody to miss it.
    package static func signal(_ leader: Int32, _ signal: Int32) {
        // 0 and 1 would mean this process's own group and everybody.
        guard leader > 1 else { return }
        _ = Glibc.kill(-leader, signal)
    }

    package static func exists(_ leader: Int32) -> Bool {
        guard leader > 1 else { return false }
        return Glibc.kill(-leader, 0) == 0
    }
}
