internal import CLinux
internal import Glibc

/// A file of any kind, held by `O_PATH`: it can be named and asked for its status, but neither read nor written.
///
/// Of a directory, every call takes one component and follows no link in it. Any thread.
package final class InodeReference: Sendable {
    package let descriptor: OwnedFD

    /// Takes over a descriptor, of `O_PATH` or of an open file.
    package init(adopting descriptor: consuming OwnedFD) {
        self.descriptor = descriptor
    }

    private static let pathOnly: Int32 = 0o10_000_000

    package func status() throws(SyscallError) -> FileStatus {
        try descriptor.status()
    }

    /// What a symbolic link says.
    package func linkTarget() throws(SyscallError) -> [UInt8] {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = try retrying("readlinkat") {
            // SAFETY: readlinkat writes at most the count it is given, which is the array's.
            unsafe readlinkat(descriptor.rawValue, "", &bytes, 4096)
        }
        return bytes.prefix(count).map { UInt8(bitPattern: $0) }
    }

    package enum TimeChange: Hashable, Sendable {
        case keep, now
        case to(FileTime)

        fileprivate var timespec: timespec {
            switch self {
            case .keep: Glibc.timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)
            case .now: Glibc.timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1)
            case .to(let time): Glibc.timespec(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
            }
        }
    }

    package func setTimes(accessed: TimeChange, modified: TimeChange) throws(SyscallError) {
        for case .to(let time) in [accessed, modified] where time.nanoseconds >= 1_000_000_000 {
            throw SyscallError(.invalidArgument, call: "utimensat")
        }
        let times = [accessed.timespec, modified.timespec]
        // SAFETY: the kernel copies the two structures before the call returns.
        try checked("utimensat", unsafe clinux_set_times(descriptor.rawValue, times))
    }

    // MARK: Entries of a directory

    /// The entry itself: a symbolic link is held, not followed. Fails rather than leave the directory.
    package func entry(_ name: PathComponent) throws(SyscallError) -> InodeReference {
        InodeReference(adopting: try open(name, Self.pathOnly))
    }

    /// The directory itself, to be read. It takes the right to search it as well.
    package func openDirectory() throws(SyscallError) -> OwnedFD {
        while true {
            // SAFETY: the kernel copies the string before the call returns.
            let result = unsafe clinux_openat(descriptor.rawValue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
            if result == -EINTR { continue }
            return OwnedFD(adopting: try checked("openat", on: ".", result))
        }
    }

    /// A new regular file, open for `access` (`O_RDWR` and its like).
    package func createFile(_ name: PathComponent, _ access: Int32, mode: UInt32) throws(SyscallError) -> OwnedFD {
        try open(name, (access & O_ACCMODE) | O_CREAT | O_EXCL | O_NONBLOCK, mode: UInt64(mode))
    }

    private func open(_ name: PathComponent, _ flags: Int32, mode: UInt64 = 0) throws(SyscallError) -> OwnedFD {
        let flags = UInt64(flags | O_NOFOLLOW | O_CLOEXEC)
        let resolve = UInt64(RESOLVE_BENEATH) | UInt64(RESOLVE_NO_SYMLINKS) | UInt64(RESOLVE_NO_MAGICLINKS)
        while true {
            // SAFETY: the kernel copies the name, which ends with a zero byte, before the call returns.
            let result = unsafe clinux_openat2(descriptor.rawValue, name.terminated, flags, mode, resolve)
            if result == -EAGAIN || result == -EINTR { continue }
            return OwnedFD(adopting: try checked("openat2", result))
        }
    }

    package func status(of name: PathComponent) throws(SyscallError) -> FileStatus {
        var status = stat()
        try retrying("fstatat") {
            // SAFETY: fstatat fills the structure and reads the name before it returns.
            unsafe fstatat(descriptor.rawValue, name.terminated, &status, AT_SYMLINK_NOFOLLOW)
        }
        return FileStatus(status)
    }

    package func makeDirectory(_ name: PathComponent, mode: UInt32) throws(SyscallError) {
        // SAFETY: the kernel copies the name before the call returns.
        try retrying("mkdirat") { unsafe mkdirat(descriptor.rawValue, name.terminated, mode) }
    }

    /// A file that no device stands behind.
    package enum NodeKind: Sendable {
        case regular, fifo, socket

        fileprivate var type: UInt32 {
            switch self {
            case .regular: S_IFREG
            case .fifo: S_IFIFO
            case .socket: S_IFSOCK
            }
        }
    }

    package func makeNode(_ name: PathComponent, _ kind: NodeKind, mode: UInt32) throws(SyscallError) {
        // SAFETY: the kernel copies the name before the call returns.
        try retrying("mknodat") {
            unsafe mknodat(descriptor.rawValue, name.terminated, kind.type | (mode & 0o7777), 0)
        }
    }

    /// The target is not resolved. It ends at its first zero byte.
    package func makeSymbolicLink(_ name: PathComponent, to target: [UInt8]) throws(SyscallError) {
        let target = target.map { CChar(bitPattern: $0) } + [0]
        // SAFETY: the kernel copies both strings, which end with a zero byte, before the call returns.
        try retrying("symlinkat") { unsafe symlinkat(target, descriptor.rawValue, name.terminated) }
    }

    package func unlink(_ name: PathComponent) throws(SyscallError) {
        // SAFETY: the kernel copies the name before the call returns.
        try retrying("unlinkat") { unsafe unlinkat(descriptor.rawValue, name.terminated, 0) }
    }

    package func removeDirectory(_ name: PathComponent) throws(SyscallError) {
        // SAFETY: the kernel copies the name before the call returns.
        try retrying("unlinkat") { unsafe unlinkat(descriptor.rawValue, name.terminated, AT_REMOVEDIR) }
    }

    package enum Replacement: UInt32, Sendable {
        case replace = 0
        /// A name that is taken is an error.
        case never = 1
        /// Both names must be taken.
        case exchange = 2
    }

    package func rename(
        _ name: PathComponent,
        to target: InodeReference,
        _ newName: PathComponent,
        _ replacement: Replacement,
    ) throws(SyscallError) {
        // SAFETY: the kernel copies both names before the call returns.
        let result = unsafe clinux_renameat2(
            descriptor.rawValue,
            name.terminated,
            target.descriptor.rawValue,
            newName.terminated,
            replacement.rawValue,
        )
        try checked("renameat2", result)
    }
}

/// Opens what is held by reference, through the process's own descriptors in /proc.
///
/// Made before the process loses sight of /proc, and in the process that uses it. Never resolves a name of anyone else: what it
/// opens is the very file that the reference holds.
package struct InodeOpener: ~Copyable, Sendable {
    private let descriptors: OwnedFD

    package init() throws(SyscallError) {
        descriptors = try OwnedFD.open("/proc/self/fd", O_RDONLY | O_DIRECTORY)
    }

    /// Another one for the same process, after /proc is out of sight.
    package func duplicate() throws(SyscallError) -> InodeOpener {
        InodeOpener(descriptors: try descriptors.duplicate())
    }

    private init(descriptors: consuming OwnedFD) {
        self.descriptors = descriptors
    }

    /// Does not wait, whatever the file is. `flags` are those of `open(2)`.
    package func open(_ reference: borrowing OwnedFD, _ flags: Int32) throws(SyscallError) -> OwnedFD {
        let flags = flags & ~O_CREAT & ~O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
        while true {
            // SAFETY: the kernel copies the string before the call returns.
            let result = unsafe clinux_openat(descriptors.rawValue, "\(reference.rawValue)", flags, 0)
            if result == -EINTR { continue }
            return OwnedFD(adopting: try checked("openat", result))
        }
    }

    /// Another reference to the same file.
    package func reference(to file: borrowing OwnedFD) throws(SyscallError) -> InodeReference {
        // SAFETY: the kernel copies the string before the call returns.
        let result = unsafe clinux_openat(
            descriptors.rawValue,
            "\(file.rawValue)",
            0o10_000_000 /* O_PATH */ | O_CLOEXEC,
            0,
        )
        return InodeReference(adopting: OwnedFD(adopting: try checked("openat", result)))
    }

    package func setMode(of reference: InodeReference, _ mode: UInt32) throws(SyscallError) {
        try retrying("fchmodat") {
            // SAFETY: the kernel copies the string before the call returns.
            unsafe fchmodat(descriptors.rawValue, "\(reference.descriptor.rawValue)", mode, 0)
        }
    }

    /// A further name for the file.
    package func link(
        _ reference: InodeReference,
        into directory: InodeReference,
        _ name: PathComponent,
    ) throws(SyscallError) {
        try retrying("linkat") {
            // SAFETY: the kernel copies both strings before the call returns.
            unsafe linkat(
                descriptors.rawValue,
                "\(reference.descriptor.rawValue)",
                directory.descriptor.rawValue,
                name.terminated,
                AT_SYMLINK_FOLLOW,
            )
        }
    }
}
