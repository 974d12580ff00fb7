internal import LinuxSystem

/// Why a call failed, as it goes to the host.
struct GuestFailure: Error, Equatable, CustomStringConvertible {
    /// google.rpc.Code
    enum Code: Int32 {
        case invalidArgument = 3
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case unimplemented = 12
        case `internal` = 13
        case unavailable = 14
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// A system call failed on `resource`, mostly a path.
    init(_ error: SyscallError, on resource: String) {
        self.init(Code(error.errno), "\(resource): \(error.errno)")
    }

    /// Runs system calls whose failure is one of `resource`.
    static func mapping<Result: ~Copyable>(
        _ resource: @autoclosure () -> String,
        _ body: () throws(SyscallError) -> Result,
    ) throws(GuestFailure) -> Result {
        do throws(SyscallError) {
            return try body()
        } catch {
            throw GuestFailure(error, on: resource())
        }
    }

    var description: String { message }
}

extension GuestFailure.Code {
    init(_ errno: Errno) {
        self =
            switch errno {
            case .notFound: .notFound
            case .exists: .alreadyExists
            case .accessDenied, .notPermitted, .readOnlyFileSystem: .permissionDenied
            case .noSpace, .quotaExceeded, .noMemory, .tooManyOpenFiles, .again, .fileTooLarge: .resourceExhausted
            case .notEmpty, .busy, .addressInUse, .brokenPipe: .failedPrecondition
            case .notADirectory, .isADirectory, .invalidArgument, .nameTooLong, .tooManySymbolicLinks: .invalidArgument
            case .crossesDevices: .invalidArgument
            default: .internal
            }
    }
}
