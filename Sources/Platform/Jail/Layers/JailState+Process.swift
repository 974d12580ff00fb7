internal import LinuxSystem

/// The layers that are a call or two.
extension JailState {
    func installNoNewPrivileges() throws(JailError.Cause) -> [String] {
        try attempt(ProcessRestrictions.setNoNewPrivileges)
        return []
    }

    func installDumpable() throws(JailError.Cause) -> [String] {
        try attempt { () throws(SyscallError) in try ProcessRestrictions.setDumpable(false) }
        return []
    }

    func installResourceLimits() throws(JailError.Cause) -> [String] {
        var missing: [String] = []
        let limits = plan.limits
        var wished: [ResourceLimit] = [
            ResourceLimit(.openFiles, limits.openFiles),
            ResourceLimit(.core, 0),
            ResourceLimit(.lockedMemory, limits.lockedMemory),
        ]
        if let fileSize = limits.fileSize { wished.append(ResourceLimit(.fileSize, fileSize)) }
        // The kernel counts all processes of a user together, wherever they run, unless a user namespace sets them apart. With
        // others in the count the worker could start no thread because of what those do.
        if countsThreadsAlone {
            wished.append(ResourceLimit(.processes, limits.threads))
        } else if plan.identity == .unique {
            missing.append("threads are not limited: they would count with the user's other processes")
        }
        for limit in wished {
            let holds = try attempt { () throws(SyscallError) in try limit.apply() }
            if holds.soft < limit.soft {
                missing.append("\(limit.resource): \(limit.soft) wished, \(holds.soft) allowed")
            }
        }
        return missing
    }

    private var countsThreadsAlone: Bool {
        if hasOwnUserNamespace { return true }
        return isRoot && plan.identity == .unique && !plan.waived.contains(.credentials)
    }

    private var isRoot: Bool { ProcessRestrictions.userID == 0 && !hasOwnUserNamespace }

    func installCredentials() throws(JailError.Cause) -> [String] {
        var missing: [String] = []
        try keepingParentDeathSignal { () throws(JailError.Cause) in
            do throws(SyscallError) {
                try ProcessRestrictions.lockCapabilities()
            } catch {
                // Without the right to give them up for good there are none to give up, and no_new_privs keeps it so.
                if error.errno != .notPermitted { throw .system(error) }
            }
            if isRoot {
                try leaveRoot(&missing)
            } else if ProcessRestrictions.userID == 0 {
                missing.append("the user is still this container's root, which allows no other here")
            }
            try attempt(ProcessRestrictions.emptyCapabilities)
        }
        return missing
    }

    /// User numbers that no distribution or tool allocates from: above systemd-nspawn's, and still positive as an `int`.
    /// Two workers that draw the same number of these 268 million share limits, nothing else.
    private static let uniqueUsers: ClosedRange<UInt32> = 0x7000_0000...0x7FFF_FFFE
    private static let nobody: UInt32 = 65534

    private func leaveRoot(_ missing: inout [String]) throws(JailError.Cause) {
        switch plan.identity {
        case .unchanged: break
        case .user(let uid, let gid):
            try attempt { () throws(SyscallError) in try ProcessRestrictions.become(uid: uid, gid: gid) }
        case .unique:
            let user = UInt32.random(in: Self.uniqueUsers)
            do throws(SyscallError) {
                try ProcessRestrictions.become(uid: user, gid: user)
            } catch {
                guard error.errno == .invalidArgument else { throw .system(error) }
                try attempt { () throws(SyscallError) in
                    try ProcessRestrictions.become(uid: Self.nobody, gid: Self.nobody)
                }
                missing.append("the user is nobody, not one of its own: this container has no user \(user)")
            }
        }
    }
}
