internal import Glibc

/// What a file system or a device answers when it is full, busy or missing.
extension Errno {
    package static let readOnlyFileSystem = Errno(rawValue: EROFS)
    package static let quotaExceeded = Errno(rawValue: EDQUOT)
    package static let noMemory = Errno(rawValue: ENOMEM)
    package static let tooManyOpenFiles = Errno(rawValue: EMFILE)
    package static let fileTooLarge = Errno(rawValue: EFBIG)
    package static let busy = Errno(rawValue: EBUSY)
    package static let addressInUse = Errno(rawValue: EADDRINUSE)
    package static let noSuchDevice = Errno(rawValue: ENODEV)
}
