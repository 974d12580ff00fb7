internal import CLinux
internal import Glibc

/// A point in time as file systems keep it, since 1970; seconds may be negative.
package struct FileTime: Hashable, Comparable, Sendable {
    package var seconds: Int64
    /// Below 1 000 000 000.
    package var nanoseconds: UInt32

    package init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    init(_ time: timespec) {
        self.init(seconds: Int64(time.tv_sec), nanoseconds: UInt32(truncatingIfNeeded: time.tv_nsec))
    }

    package static func < (left: FileTime, right: FileTime) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// What `stat(2)` tells about a file.
package struct FileStatus: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case regular, directory, symbolicLink, other
    }

    package let kind: Kind
    package let size: UInt64
    /// Permission bits, with set-user-id and its like: `0o7777`.
    package let mode: UInt32
    /// The type of the file as `stat(2)` gives it: `S_IFMT`, `0o170000`.
    package let type: UInt32
    package let uid: UInt32
    package let gid: UInt32
    package let links: UInt32
    package let accessed: FileTime
    package let modified: FileTime
    /// When the status itself changed.
    package let changed: FileTime
    package let device: UInt64
    package let inode: UInt64
    /// The device that a device node stands for.
    package let representedDevice: UInt64
    /// Of 512 bytes, whatever the file system's own are.
    package let blocks: UInt64
    package let preferredBlockSize: UInt32

    init(_ status: stat) {
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .regular
        case S_IFDIR: kind = .directory
        case S_IFLNK: kind = .symbolicLink
        default: kind = .other
        }
        size = UInt64(clamping: status.st_size)
        mode = status.st_mode & 0o7777
        type = status.st_mode & S_IFMT
        uid = status.st_uid
        gid = status.st_gid
        links = UInt32(clamping: status.st_nlink)
        accessed = FileTime(status.st_atim)
        modified = FileTime(status.st_mtim)
        changed = FileTime(status.st_ctim)
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        representedDevice = UInt64(status.st_rdev)
        blocks = UInt64(clamping: status.st_blocks)
        preferredBlockSize = UInt32(clamping: status.st_blksize)
    }

    /// A time beyond the years that 64 bits of nanoseconds hold is of no use to anyone: it may be any.
    package var modifiedUnixNanoseconds: Int64 {
        modified.seconds &* 1_000_000_000 &+ Int64(modified.nanoseconds)
    }
}

/// What `statvfs(3)` tells about a file system; blocks are of `fragmentSize`.
package struct FileSystemStatus: Hashable, Sendable {
    package let blocks: UInt64
    package let freeBlocks: UInt64
    package let availableBlocks: UInt64
    package let files: UInt64
    package let freeFiles: UInt64
    package let blockSize: UInt32
    package let fragmentSize: UInt32
    package let maxNameLength: UInt32
}

extension OwnedFD {
    package func status() throws(SyscallError) -> FileStatus {
        var status = stat()
        // SAFETY: fstat fills the structure it is given.
        try retrying("fstat") { unsafe fstat(rawValue, &status) }
        return FileStatus(status)
    }

    package func fileSystemStatus() throws(SyscallError) -> FileSystemStatus {
        var status = statvfs()
        // SAFETY: fstatvfs fills the structure it is given.
        try retrying("fstatvfs") { unsafe fstatvfs(rawValue, &status) }
        return FileSystemStatus(
            blocks: UInt64(status.f_blocks),
            freeBlocks: UInt64(status.f_bfree),
            availableBlocks: UInt64(status.f_bavail),
            files: UInt64(status.f_files),
            freeFiles: UInt64(status.f_ffree),
            blockSize: UInt32(clamping: status.f_bsize),
            fragmentSize: UInt32(clamping: status.f_frsize),
            maxNameLength: UInt32(clamping: status.f_namemax),
        )
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
