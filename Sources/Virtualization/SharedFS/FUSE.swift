/// The FUSE protocol's numbers, as in `linux/fuse.h` (7.31 to 7.41).
enum FUSE {
    static let major: UInt32 = 7
    /// The oldest that is spoken: Linux 5.4, the first with virtio-fs.
    static let oldestMinor: UInt32 = 31
    static let newestMinor: UInt32 = 41
    static let rootID: UInt64 = 1

    enum Opcode: UInt32, CaseIterable, Sendable {
        case lookup = 1
        case forget = 2
        case getattr = 3
        case setattr = 4
        case readlink = 5
        case symlink = 6
        case mknod = 8
        case mkdir = 9
        case unlink = 10
        case rmdir = 11
        case rename = 12
        case link = 13
        case open = 14
        case read = 15
        case write = 16
        case statfs = 17
        case release = 18
        case fsync = 20
        case setxattr = 21
        case getxattr = 22
        case listxattr = 23
        case removexattr = 24
        case flush = 25
        case initialize = 26
        case opendir = 27
        case readdir = 28
        case releasedir = 29
        case fsyncdir = 30
        case getlk = 31
        case setlk = 32
        case setlkw = 33
        case access = 34
        case create = 35
        case interrupt = 36
        case destroy = 38
        case batchForget = 42
        case fallocate = 43
        case readdirplus = 44
        case rename2 = 45
        case lseek = 46
        case copyFileRange = 47
        case syncfs = 50

        /// No reply is ever sent to it, not even an error.
        var hasNoReply: Bool {
            switch self {
            case .forget, .batchForget, .interrupt: true
            default: false
            }
        }

        /// Changes the share.
        var isMutation: Bool {
            switch self {
            case .setattr, .symlink, .mknod, .mkdir, .unlink, .rmdir, .rename, .rename2, .link, .write, .setxattr,
                .removexattr, .create, .fallocate, .copyFileRange:
                true
            default: false
            }
        }

        /// Bytes of the reply behind its header, where they are always as many: a request is not begun without room for them.
        var replyLength: Int {
            switch self {
            case .lookup, .symlink, .mknod, .mkdir, .link: 128
            case .create: 144
            case .getattr, .setattr: 104
            case .statfs: 80
            case .initialize: 64
            case .getlk: 24
            case .open, .opendir: 16
            case .write, .lseek, .copyFileRange: 8
            default: 0
            }
        }
    }

    struct InitFlags: OptionSet, Sendable {
        let rawValue: UInt32

        static let asyncRead = InitFlags(rawValue: 1 << 0)
        static let posixLocks = InitFlags(rawValue: 1 << 1)
        static let atomicTruncate = InitFlags(rawValue: 1 << 3)
        static let bigWrites = InitFlags(rawValue: 1 << 5)
        static let flockLocks = InitFlags(rawValue: 1 << 10)
        /// Cached pages go when the attributes show that the host changed the file.
        static let autoInvalidateData = InitFlags(rawValue: 1 << 12)
        static let doReaddirplus = InitFlags(rawValue: 1 << 13)
        static let asyncDirectIO = InitFlags(rawValue: 1 << 15)
        static let parallelDirectoryOperations = InitFlags(rawValue: 1 << 18)
        static let maxPages = InitFlags(rawValue: 1 << 22)
        /// The guest goes on without `FUSE_OPENDIR` where the first is answered with `ENOSYS`.
        static let noOpendirSupport = InitFlags(rawValue: 1 << 24)
        static let handleKillPrivileges2 = InitFlags(rawValue: 1 << 28)
    }

    /// `fuse_setattr_in.valid`
    struct AttributeFlags: OptionSet, Sendable {
        let rawValue: UInt32

        static let mode = AttributeFlags(rawValue: 1 << 0)
        static let uid = AttributeFlags(rawValue: 1 << 1)
        static let gid = AttributeFlags(rawValue: 1 << 2)
        static let size = AttributeFlags(rawValue: 1 << 3)
        static let accessed = AttributeFlags(rawValue: 1 << 4)
        static let modified = AttributeFlags(rawValue: 1 << 5)
        static let handle = AttributeFlags(rawValue: 1 << 6)
        static let accessedNow = AttributeFlags(rawValue: 1 << 7)
        static let modifiedNow = AttributeFlags(rawValue: 1 << 8)
        static let killSetID = AttributeFlags(rawValue: 1 << 11)
    }

    /// `FUSE_GETATTR_FH`
    static let getattrUsesHandle: UInt32 = 1 << 0
    /// `FUSE_LK_FLOCK`
    static let lockIsFlock: UInt32 = 1 << 0
    /// `FUSE_FSYNC_FDATASYNC`
    static let syncDataOnly: UInt32 = 1 << 0
    /// `FUSE_WRITE_CACHE`: a page of a mapping goes home, by whichever handle the kernel has at hand.
    static let writeFromCache: UInt32 = 1 << 0
    /// `FUSE_WRITE_KILL_SUIDGID`
    static let writeKillsSetID: UInt32 = 1 << 2
    /// `FUSE_OPEN_KILL_SUIDGID`
    static let openKillsSetID: UInt32 = 1 << 0
}

/// Numbers of Linux that cross the protocol, the same on every architecture.
enum LinuxABI {
    static let accessMode: UInt32 = 0o3
    static let readOnly: UInt32 = 0
    static let readWrite: UInt32 = 2
    static let exclusive: UInt32 = 0o200
    static let truncate: UInt32 = 0o1000
    static let append: UInt32 = 0o2000
    static let dataSync: UInt32 = 0o10000
    static let sync: UInt32 = 0o4_010_000

    static let typeMask: UInt32 = 0o170_000
    static let fifo: UInt32 = 0o010_000
    static let directory: UInt32 = 0o040_000
    static let regular: UInt32 = 0o100_000
    static let symbolicLink: UInt32 = 0o120_000
    static let socket: UInt32 = 0o140_000

    static let setUserID: UInt32 = 0o4000
    static let setGroupID: UInt32 = 0o2000
    static let groupExecute: UInt32 = 0o010
}
