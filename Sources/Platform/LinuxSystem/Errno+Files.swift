internal import Glibc

/// What a file server answers.
extension Errno {
    package static let badDescriptor = Errno(rawValue: EBADF)
    package static let staleHandle = Errno(rawValue: ESTALE)
    package static let notSupported = Errno(rawValue: EOPNOTSUPP)
    package static let notImplemented = Errno(rawValue: ENOSYS)
    package static let protocolError = Errno(rawValue: EPROTO)
    package static let resultOutOfRange = Errno(rawValue: ERANGE)
    package static let argumentsTooBig = Errno(rawValue: E2BIG)
    package static let noData = Errno(rawValue: ENODATA)
    package static let noLocks = Errno(rawValue: ENOLCK)
    package static let tooManyOpenFilesInSystem = Errno(rawValue: ENFILE)
    package static let noSuchDeviceOrAddress = Errno(rawValue: ENXIO)
}
