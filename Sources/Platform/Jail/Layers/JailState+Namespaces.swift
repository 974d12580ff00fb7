internal import LinuxSystem

extension JailState {
    mutating func installNamespaces() throws(JailError.Cause) -> [String] {
        var missing: [String] = []
        let threads = try attempt(ProcessRestrictions.threadCount)
        if threads != 1 { throw .severalThreads(threads) }

        try enter(&missing)
        // A share is found again by its path, so before there are no paths.
        try attempt(Mount.makeAllPrivate)
        for share in plan.shares { detach(share, &missing) }
        try emptyRoot(&missing)

        // The first process of a PID namespace is number 1. It must be born there: a process that moves only its children
        // into one could start no thread any more.
        if HostFacts.processID != 1 {
            missing.append("it sees process numbers of the host's, having been started there")
        }
        return missing
    }

    /// The layer stands or falls with mounts and network; a kernel may be built without the others.
    private mutating func enter(_ missing: inout [String]) throws(JailError.Cause) {
        let required: [Namespace] = [.mount, .network]
        let (uid, gid) = (ProcessRestrictions.userID, ProcessRestrictions.groupID)
        do throws(SyscallError) {
            try Namespace.unshare(required)
        } catch {
            guard error.errno == .notPermitted else { throw .system(error) }
            try keepingParentDeathSignal { () throws(JailError.Cause) in
                try attempt { () throws(SyscallError) in
                    try Namespace.unshare([.user] + required)
                    try Namespace.mapIdentity(uid: uid, gid: gid)
                }
            }
            hasOwnUserNamespace = true
        }
        for namespace in [Namespace.ipc, .uts] {
            do throws(SyscallError) {
                try Namespace.unshare([namespace])
            } catch {
                missing.append("\(namespace.rawValue) namespace: \(error.errno)")
            }
        }
    }

    /// Landlock keeps the guest below a share's directory when it opens files. A mount without a parent also keeps it there
    /// when it only looks at or changes them, which Landlock does not judge.
    private func detach(_ share: JailPlan.Share, _ missing: inout [String]) {
        var attributes: DetachedDirectory.Attributes = [.noSetUserID, .noDevices, .noExecution]
        if share.access == .readOnly { attributes.insert(.readOnly) }
        do throws(SyscallError) {
            try DetachedDirectory.replace(share.descriptor, adding: attributes)
        } catch {
            missing.append("the share at descriptor \(share.descriptor) has a way up: \(error)")
        }
    }

    private func emptyRoot(_ missing: inout [String]) throws(JailError.Cause) {
        // Any directory will do to hang the new root on for a moment; this one always exists.
        let place = "/proc"
        try attempt { () throws(SyscallError) in
            try Mount.mount(
                "empty",
                on: place,
                type: "tmpfs",
                flags: [.readOnly, .noSetUserID, .noDevices, .noExecution],
                options: "size=4k,nr_inodes=1,mode=0555",
            )
        }
        do throws(SyscallError) {
            try Mount.pivotRoot(to: place)
        } catch {
            guard error.errno == .invalidArgument else { throw .system(error) }
            // The root is the kernel's first mount, which cannot be let go of.
            try attempt { () throws(SyscallError) in try Mount.switchRoot(to: place) }
            missing.append("the host's root, an initramfs, lies hidden below the empty one")
        }
    }
}
