internal import LinuxSystem

/// What to confine the process to.
package struct JailPlan: Sendable {
    /// Layers that the user gave up by name. They are not tried.
    package var waived: Set<JailLayer> = []
    package var limits = Limits()
    package var identity = Identity.unique
    /// Directories that stay reachable, through their descriptors only.
    package var shares: [Share] = []
    /// The filter of the thread that applies the plan, and of all that it starts.
    package var seccomp: SeccompFilter

    package init(seccomp: SeccompFilter) {
        self.seccomp = seccomp
    }

    /// A limit above the one that holds already is cut down to it, and the report says so.
    package struct Limits: Hashable, Sendable {
        package var openFiles: UInt64 = 1024
        /// Threads of the process, all together.
        package var threads: UInt64 = 64
        /// The largest file that may be written, in bytes. Past it a write is a `SIGXFSZ`, so a disk's size is the least.
        package var fileSize: UInt64?
        /// In bytes.
        package var lockedMemory: UInt64 = 0

        package init() {}
    }

    /// Who the process is afterwards, where it starts as root. A process of another user stays that user.
    ///
    /// A user with other processes has no limit on threads outside of a user namespace: it would count them all.
    package enum Identity: Hashable, Sendable {
        /// A user that owns nothing and that no other process has, drawn at random from 0x7000_0000 on.
        case unique
        /// To share a user's files with write access, it must be that user.
        case user(uid: UInt32, gid: UInt32)
        /// Root without capabilities: it still owns root's files.
        case unchanged
    }

    /// A directory for the guest. The descriptor keeps its number, but is opened anew without a way up: derive others from it
    /// only after the jail is on.
    package struct Share: Hashable, Sendable {
        package enum Access: Hashable, Sendable { case readOnly, readWrite }

        package var descriptor: Int32
        package var access: Access

        package init(descriptor: Int32, access: Access) {
            self.descriptor = descriptor
            self.access = access
        }
    }
}
