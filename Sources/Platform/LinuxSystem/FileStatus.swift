internal import CLinux
internal import Glibc

/// What `stat(2)` tells about a file.
package struct FileStatus: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case regular, directory, symbolicLink, other
    }

    package let kind: Kind
    package let size: UInt64
    /// Permission bits, with set-user-id and its like: `0o7777`.
    package let mode: UInt32
    package let uid: UInt32
    package let gid: UInt32
    package let modifiedUnixNanoseconds: Int64
    package let device: UInt64
    package let inode: UInt64

    /// Whether the permission bits let a user without special rights write; in a directory, make entries.
    package func isWritable(uid: UInt32, gid: UInt32) -> Bool {
        let bits = uid == self.uid ? mode >> 6 : gid == self.gid ? mode >> 3 : mode
        let needed: UInt32 = kind == .directory ? 0o3 : 0o2
        return bits & needed == needed
    }

    init(_ status: stat) {
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .regular
        case S_IFDIR: kind = .directory
        case S_IFLNK: kind = .symbolicLink
        default: kind = .other
        }
        size = UInt64(clamping: status.st_size)
        mode = status.st_mode & 0o7777
        uid = status.st_uid
        gid = status.st_gid
        // A time beyond the years that 64 bits of nanoseconds hold is of no use to anyone: it may be any.
        let nanoseconds = Int64(status.st_mtim.tv_nsec)
        modifiedUnixNanoseconds = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ nanoseconds
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}

extension OwnedFD {
    package func status() throws(SyscallError) -> FileStatus {
        var status = stat()
        // SAFETY: fstat fills the structure it is given.
        try retrying("fstat") { unsafe fstat(rawValue, &status) }
        return FileStatus(status)
    }

    package func setOwner(uid: UInt32, gid: UInt32) throws(SyscallError) {
        try retrying("fchown") { fchown(rawValue, uid, gid) }
    }

    package func setMode(_ mode: UInt32) throws(SyscallError) {
        try retrying("fchmod") { fchmod(rawValue, mode) }
    }

    package func seek(to offset: UInt64) throws(SyscallError) {
        guard let offset = Int(exactly: offset) else { throw SyscallError(.invalidArgument, call: "lseek") }
        try retrying("lseek") { lseek(rawValue, offset, SEEK_SET) }
    }

    /// The whole text of a small file of the kernel, whose reader keeps it open.
    package func readFromStart() throws(SyscallError) -> String {
        try seek(to: 0)
        return String(decoding: try readAll(limit: 65536), as: UTF8.self)
    }
}
