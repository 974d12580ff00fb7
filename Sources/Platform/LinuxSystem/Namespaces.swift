internal import CLinux
internal import Glibc

/// A process's own view of a part of the system, `namespaces(7)`.
package enum Namespace: String, CaseIterable, Sendable {
    case user, mount, network, ipc, uts

    fileprivate var flag: Int32 {
        switch self {
        case .user: 0x1000_0000
        case .mount: 0x0002_0000
        case .network: 0x4000_0000
        case .ipc: 0x0800_0000
        case .uts: 0x0400_0000
        }
    }

    /// Moves this thread into new namespaces. A user namespace needs a process with one thread (`EINVAL`) and gives it all
    /// capabilities over the others made with it; without one, `CAP_SYS_ADMIN` is needed (`EPERM`).
    package static func unshare(_ namespaces: [Namespace]) throws(SyscallError) {
        let flags = namespaces.reduce(0) { $0 | $1.flag }
        try checked("unshare", on: namespaces.map(\.rawValue).joined(separator: ", "), clinux_unshare(flags))
    }

    /// Maps one user and one group of the new user namespace to the same numbers outside: who the process was.
    package static func mapIdentity(uid: UInt32, gid: UInt32) throws(SyscallError) {
        // The kernel wants this before an unprivileged process may map a group: else leaving a group that is denied
        // access to a file would gain access.
        try FileSystem.write("deny", to: "/proc/self/setgroups")
        try FileSystem.write("\(uid) \(uid) 1", to: "/proc/self/uid_map")
        try FileSystem.write("\(gid) \(gid) 1", to: "/proc/self/gid_map")
    }
}

/// A root directory of one's own.
extension Mount {
    /// Nothing that this mount namespace does from here on shows elsewhere, nor the other way round.
    package static func makeAllPrivate() throws(SyscallError) {
        try mount("none", on: "/", type: "", flags: [.recursive, .private])
    }

    /// Makes the file system mounted at `directory` the root of this process and lets go of the old one, of which only open
    /// files remain. `EINVAL` where the old root is the kernel's first mount, an initramfs.
    package static func pivotRoot(to directory: String) throws(SyscallError) {
        try changeDirectory(to: directory)
        // The old root is put on top of the new one, where "." still names it, and detached from there: pivot_root(2).
        // SAFETY: the kernel copies both strings before the call returns.
        try checked("pivot_root", on: directory, unsafe clinux_pivot_root(".", "."))
        try detach(".")
        try changeDirectory(to: "/")
    }
}

/// A directory whose mount is attached nowhere: `..` at its root stays there, whatever the process's own root is.
package enum DetachedDirectory {
    package struct Attributes: OptionSet, Sendable {
        package let rawValue: UInt64
        package init(rawValue: UInt64) { self.rawValue = rawValue }
        package static let readOnly = Attributes(rawValue: 1)
        package static let noSetUserID = Attributes(rawValue: 2)
        package static let noDevices = Attributes(rawValue: 4)
        package static let noExecution = Attributes(rawValue: 8)
    }

    /// Replaces the open directory `descriptor` by a detached copy with these attributes.
    ///
    /// A mount can be copied only inside its own mount namespace, to which a descriptor opened before `unshare(2)` does not
    /// belong. So the directory is opened again by the path that `/proc` tells, and must prove to be the same.
    package static func replace(_ descriptor: Int32, adding attributes: Attributes) throws(SyscallError) {
        let name = "descriptor \(descriptor)"
        let path = try Directory("/proc/self/fd").linkTarget(of: String(descriptor))
        let before = try FileSystem.status(of: "/proc/self/fd/\(descriptor)")
        let again = try Directory(path)
        let after = try again.descriptor.status()
        guard before.device == after.device, before.inode == after.inode else {
            throw SyscallError(.notFound, call: "open", on: "\(path), as \(name)")
        }
        let clone = clinux_clone_mount_tree(again.descriptor.rawValue)
        let tree = Directory(adopting: OwnedFD(adopting: try checked("open_tree", on: path, clone)))
        let result = clinux_restrict_mount_tree(tree.descriptor.rawValue, attributes.rawValue)
        try checked("mount_setattr", on: path, result)
        // The tree's own descriptor is for naming only (O_PATH).
        try ProcessRestrictions.replaceDescriptor(descriptor, with: try tree.openDirectory(".").intoDescriptor())
    }
}
