/// The layers of the jail, in the order in which they are put on. Their names are those that a user waives.
package enum JailLayer: String, CaseIterable, Hashable, Sendable {
    /// No program that is executed gains privileges; the kernel asks for it before `landlock` and `seccomp`.
    case noNewPrivileges
    /// A user namespace where the process is not privileged, and a mount namespace with an empty read-only root, a network
    /// namespace without any network, and IPC and UTS namespaces of its own.
    case namespaces
    /// Bounds on descriptors, threads, locked memory, core files and file sizes.
    case resourceLimits
    /// No path can be opened, executed or changed, except below the shares; no TCP; no signals and no abstract Unix sockets
    /// to others.
    case landlock
    /// A user that owns nothing where the process is root, and no capabilities for anyone.
    case credentials
    /// Nobody but root may trace the process or read its memory; it leaves no core file.
    case dumpable
    /// Only the system calls that the worker makes, with the arguments that it passes; any other ends the process.
    case seccomp
}
