internal import CLinux
internal import Glibc

/// An open directory, and the calls that name a file relative to it.
///
/// `open(beneath:)` resolves whole paths under rules; all other calls take one component and never follow a link in it.
package struct Directory: ~Copyable, Sendable {
    package let descriptor: OwnedFD

    /// How far a path may lead.
    package enum Confinement: Sendable {
        /// The directory is the root of the path, as after `chroot(2)`: absolute links start at it.
        case root
        /// A path or link that leads out of the directory is an error (`EXDEV`).
        case beneath
        /// Like `beneath`, and no component may be a symbolic link (`ELOOP`).
        case withoutLinks

        var resolve: UInt64 {
            // Magic links, as in /proc/self/fd, jump out of every confinement.
            let flags = UInt64(RESOLVE_NO_MAGICLINKS)
            return switch self {
            case .root: flags | UInt64(RESOLVE_IN_ROOT)
            case .beneath: flags | UInt64(RESOLVE_BENEATH)
            case .withoutLinks: flags | UInt64(RESOLVE_BENEATH) | UInt64(RESOLVE_NO_SYMLINKS)
            }
        }
    }

    package enum Access: Sendable {
        case read
        /// A new file; one that exists is an error.
        case create(mode: UInt32)
        /// For `status` only: needs no permission and opens no device.
        case path(followLast: Bool)
        case directory

        var flags: Int32 {
            switch self {
            // Non-blocking: a FIFO or a device in the guest's hands must not stop the caller.
            case .read: O_RDONLY | O_NONBLOCK | O_NOCTTY
            case .create: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
            case .path(let followLast): followLast ? Self.pathOnly : Self.pathOnly | O_NOFOLLOW
            case .directory: O_RDONLY | O_DIRECTORY
            }
        }

        private static let pathOnly: Int32 = 0o10_000_000
    }

    package init(adopting descriptor: consuming OwnedFD) {
        self.descriptor = descriptor
    }

    package init(_ path: String) throws(SyscallError) {
        descriptor = try OwnedFD.open(path, O_RDONLY | O_DIRECTORY)
    }

    package consuming func intoDescriptor() -> OwnedFD {
        descriptor
    }

    package func duplicate() throws(SyscallError) -> Directory {
        Directory(adopting: try descriptor.duplicate())
    }

    /// Resolves a relative path inside this directory.
    package func open(
        beneath path: String,
        _ access: Access,
        _ confinement: Confinement,
    ) throws(SyscallError) -> OwnedFD {
        let mode: UInt64 = if case .create(let mode) = access { UInt64(mode) } else { 0 }
        let flags = UInt64(access.flags | O_CLOEXEC)
        while true {
            // SAFETY: the kernel copies the string before the call returns.
            let result = unsafe clinux_openat2(descriptor.rawValue, path, flags, mode, confinement.resolve)
            // EAGAIN: a rename raced with "..", which the kernel asks to repeat.
            if result == -EAGAIN || result == -EINTR { continue }
            return OwnedFD(adopting: try checked("openat2", on: path, result))
        }
    }

    // MARK: One component

    package func openDirectory(_ name: String) throws(SyscallError) -> Directory {
        // SAFETY: the kernel copies the string before the call returns.
        let result = unsafe clinux_openat(
            descriptor.rawValue,
            name,
            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
            0,
        )
        return Directory(adopting: OwnedFD(adopting: try checked("openat", on: name, result)))
    }

    package func create(_ name: String, mode: UInt32) throws(SyscallError) -> OwnedFD {
        // SAFETY: the kernel copies the string before the call returns.
        let result = unsafe clinux_openat(
            descriptor.rawValue,
            name,
            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
            mode,
        )
        return OwnedFD(adopting: try checked("openat", on: name, result))
    }

    package func status(of name: String) throws(SyscallError) -> FileStatus {
        var status = stat()
        try retrying("fstatat", on: name) {
            // SAFETY: fstatat fills the structure and reads the string before it returns.
            unsafe fstatat(descriptor.rawValue, name, &status, AT_SYMLINK_NOFOLLOW)
        }
        return FileStatus(status)
    }

    package func linkTarget(of name: String) throws(SyscallError) -> String {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = try retrying("readlinkat", on: name) {
            // SAFETY: readlinkat writes at most the count it is given, which is the array's.
            unsafe readlinkat(descriptor.rawValue, name, &bytes, 4096)
        }
        return String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package func makeDirectory(_ name: String, mode: UInt32) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("mkdirat", on: name) { unsafe mkdirat(descriptor.rawValue, name, mode) }
    }

    package func unlink(_ name: String) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("unlinkat", on: name) { unsafe unlinkat(descriptor.rawValue, name, 0) }
    }

    package func removeDirectory(_ name: String) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("unlinkat", on: name) { unsafe unlinkat(descriptor.rawValue, name, AT_REMOVEDIR) }
    }

    /// Replaces what is at the new name.
    package func rename(
        _ name: String,
        to target: borrowing Directory,
        _ newName: String,
    ) throws(SyscallError) {
        // SAFETY: the kernel copies both strings before the call returns.
        let result = unsafe clinux_renameat2(descriptor.rawValue, name, target.descriptor.rawValue, newName, 0)
        try checked("renameat2", on: "\(name) to \(newName)", result)
    }

    package func openFile(_ name: String) throws(SyscallError) -> OwnedFD {
        // SAFETY: the kernel copies the string before the call returns.
        let result = unsafe clinux_openat(descriptor.rawValue, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0)
        return OwnedFD(adopting: try checked("openat", on: name, result))
    }

    /// Reads or writes a small file such as the kernel's in /sys.
    package func read(_ name: String, limit: Int = 1 << 20) throws(SyscallError) -> [UInt8] {
        try openFile(name).readAll(limit: limit)
    }

    package func write(_ text: String, to name: String) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        let result = unsafe clinux_openat(descriptor.rawValue, name, O_WRONLY | O_CLOEXEC, 0)
        let file = OwnedFD(adopting: try checked("openat", on: name, result))
        do throws(SyscallError) {
            try file.writeAll(text)
        } catch {
            throw SyscallError(error.errno, call: "write", on: name)
        }
    }

    /// The names of the entries, without "." and "..", in the file system's order.
    package func names() throws(SyscallError) -> [String] {
        // A second open file: reading moves a position that duplicates would share.
        // SAFETY: the kernel copies the string before the call returns.
        let result = unsafe clinux_openat(descriptor.rawValue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
        let reader = try checked("openat", on: ".", result)
        // SAFETY: on success the stream owns the descriptor and is closed once, below.
        guard let stream = unsafe fdopendir(reader) else {
            let error = currentErrno()
            close(reader)
            throw SyscallError(error, call: "fdopendir")
        }
        // SAFETY: the stream is open until here.
        defer { unsafe closedir(stream) }
        var names: [String] = []
        // SAFETY: an entry is valid until the next call for the same stream; its name ends with a zero byte.
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
