internal import CLinux
internal import Glibc

/// `mount(2)` and what goes with it.
package enum Mount {
    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt
        package init(rawValue: UInt) { self.rawValue = rawValue }
        package static let readOnly = Flags(rawValue: 1)
        package static let noSetUserID = Flags(rawValue: 2)
        package static let noDevices = Flags(rawValue: 4)
        package static let noExecution = Flags(rawValue: 8)
        package static let bind = Flags(rawValue: 4096)
        package static let move = Flags(rawValue: 8192)
        package static let recursive = Flags(rawValue: 16384)
        package static let `private` = Flags(rawValue: 1 << 18)
    }

    /// Mounts `source` (a device, a tag, or any word for a file system without one) on an existing directory.
    package static func mount(
        _ source: String,
        on target: String,
        type: String,
        flags: Flags = [],
        options: String = "",
    ) throws(SyscallError) {
        try retrying("mount", on: "\(source) on \(target)") {
            // SAFETY: the kernel copies all strings before the call returns.
            unsafe options.withCString { unsafe Glibc.mount(source, target, type, flags.rawValue, $0) }
        }
    }

    /// Takes a mount with all below it to another place.
    package static func move(_ source: String, to target: String) throws(SyscallError) {
        try mount(source, on: target, type: "", flags: .move)
    }

    /// Detaches a mount now; it is released when nothing uses it any more.
    package static func detach(_ target: String) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("umount2", on: target) { unsafe umount2(target, Int32(MNT_DETACH)) }
    }

    /// Makes the file system mounted at `directory` the root of this process and of all that it starts.
    ///
    /// This is `switch_root`: `pivot_root(2)` refuses to move the initramfs away, since the kernel's first mount has
    /// no parent to hang from (`EINVAL`). So the new root is moved over it and entered with `chroot(2)`. The initramfs
    /// stays below, out of reach, holding only what is still open.
    package static func switchRoot(to directory: String) throws(SyscallError) {
        try changeDirectory(to: directory)
        try move(".", to: "/")
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("chroot", on: directory) { unsafe chroot(".") }
        try changeDirectory(to: "/")
    }

    static func changeDirectory(to path: String) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("chdir", on: path) { unsafe chdir(path) }
    }
}
