internal import CLinux
internal import Glibc

/// What this process gives up, for good unless said otherwise.
///
/// All of it belongs to the calling *thread*: threads started later inherit it, those that run already do not.
package enum ProcessRestrictions {
    /// Programs executed from here on gain nothing by their set-user-id bits or file capabilities.
    package static func setNoNewPrivileges() throws(SyscallError) {
        try checked("prctl(PR_SET_NO_NEW_PRIVS)", clinux_set_no_new_privs())
    }

    /// Whether a process of the same user may trace this one, read its memory, or look into its `/proc` directory; and
    /// whether a crash leaves a core file.
    package static func setDumpable(_ dumpable: Bool) throws(SyscallError) {
        try checked("prctl(PR_SET_DUMPABLE)", clinux_set_dumpable(dumpable ? 1 : 0))
    }

    package static var isDumpable: Bool { clinux_get_dumpable() == 1 }

    /// The signal that this process gets when the thread that started it ends; 0: none. A change of user clears it.
    package static func parentDeathSignal() throws(SyscallError) -> Int32 {
        try checked("prctl(PR_GET_PDEATHSIG)", clinux_get_parent_death_signal())
    }

    package static func setParentDeathSignal(_ signal: Int32) throws(SyscallError) {
        try checked("prctl(PR_SET_PDEATHSIG)", clinux_set_parent_death_signal(signal))
    }

    // MARK: Users and capabilities

    package static var userID: UInt32 { geteuid() }
    package static var groupID: UInt32 { getegid() }
    package static var parentID: Int32 { getppid() }

    /// The effective capabilities of this thread, as bits by their numbers in `capabilities(7)`.
    package static func capabilities() throws(SyscallError) -> UInt64 {
        var bits: UInt64 = 0
        // SAFETY: the shim stores one value behind the pointer.
        try checked("capget", unsafe clinux_get_capabilities(&bits))
        return bits
    }

    /// Takes from all programs executed later every capability, and from user 0 its special treatment. `EPERM` without
    /// `CAP_SETPCAP`.
    package static func lockCapabilities() throws(SyscallError) {
        try checked("prctl(PR_CAPBSET_DROP)", clinux_lock_capabilities())
    }

    /// Gives up all capabilities of this thread.
    package static func emptyCapabilities() throws(SyscallError) {
        try checked("capset", clinux_empty_capabilities())
    }

    /// Leaves all supplementary groups and becomes that user and group. `EINVAL` where this user namespace has no such
    /// user.
    package static func become(uid: UInt32, gid: UInt32) throws(SyscallError) {
        try checked("setresuid", on: "user \(uid)", clinux_become(uid, gid))
    }

    // MARK: Threads and descriptors

    /// How many threads this process has, by `/proc`.
    package static func threadCount() throws(SyscallError) -> Int {
        try Directory("/proc/self/task").names().count
    }

    /// Makes `target` another name of an open file, closing what it named before.
    package static func replaceDescriptor(_ target: Int32, with file: consuming OwnedFD) throws(SyscallError) {
        try checked("dup3", on: "descriptor \(target)", clinux_replace_descriptor(file.rawValue, target))
    }
}

/// Limits of this process.
extension ResourceLimit {
    /// Sets it, but never above the hard limit that holds already. Returns what holds now.
    @discardableResult
    package func apply() throws(SyscallError) -> ResourceLimit {
        let number = __rlimit_resource_t(UInt32(resource.number))
        var limit = rlimit()
        // SAFETY: the kernel fills the structure before the call returns.
        try retrying("getrlimit", on: "\(resource)") { unsafe getrlimit(number, &limit) }
        limit.rlim_max = min(limit.rlim_max, rlim_t(hard))
        limit.rlim_cur = min(rlim_t(soft), limit.rlim_max)
        // SAFETY: the kernel copies the structure before the call returns.
        try retrying("setrlimit", on: "\(resource)") { unsafe setrlimit(number, &limit) }
        var result = self
        result.soft = UInt64(limit.rlim_cur)
        result.hard = UInt64(limit.rlim_max)
        return result
    }
}
