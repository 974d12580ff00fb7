internal import LinuxSystem
internal import TTRPC

/// How failed system calls go to the host.
extension TTRPCStatus {
    /// - Parameter resource: What the call was about, mostly a path.
    init(_ error: SyscallError, on resource: String) {
        self.init(Code(error.errno), "\(resource): \(error.errno)")
    }

    /// Runs system calls whose failure is one of `resource`.
    static func mapping<Result: ~Copyable>(
        _ resource: @autoclosure () -> String,
        _ body: () throws(SyscallError) -> Result,
    ) throws(TTRPCStatus) -> Result {
        do throws(SyscallError) {
            return try body()
        } catch {
            throw TTRPCStatus(error, on: resource())
        }
    }
}

extension TTRPCStatus.Code {
    init(_ errno: Errno) {
        self =
            switch errno {
            case .notFound: .notFound
            case .exists, .addressInUse: .alreadyExists
            case .accessDenied, .notPermitted, .readOnlyFileSystem: .permissionDenied
            case .noSpace, .quotaExceeded, .noMemory, .tooManyOpenFiles, .again, .fileTooLarge: .resourceExhausted
            case .notEmpty, .busy, .brokenPipe: .failedPrecondition
            case .notADirectory, .isADirectory, .invalidArgument, .nameTooLong, .tooManySymbolicLinks: .invalidArgument
            case .crossesDevices: .invalidArgument
            default: .internal
            }
    }
}
