internal import CLinux
internal import Glibc

/// An error number of the kernel, `errno(3)`.
package struct Errno: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: Int32

    package init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    package static let again = Errno(rawValue: EAGAIN)
    package static let interrupted = Errno(rawValue: EINTR)
    package static let invalidArgument = Errno(rawValue: EINVAL)
    package static let inputOutput = Errno(rawValue: EIO)
    package static let exists = Errno(rawValue: EEXIST)
    package static let notFound = Errno(rawValue: ENOENT)
    package static let notADirectory = Errno(rawValue: ENOTDIR)
    package static let isADirectory = Errno(rawValue: EISDIR)
    package static let notEmpty = Errno(rawValue: ENOTEMPTY)
    package static let notPermitted = Errno(rawValue: EPERM)
    package static let accessDenied = Errno(rawValue: EACCES)
    package static let noSpace = Errno(rawValue: ENOSPC)
    package static let noSuchProcess = Errno(rawValue: ESRCH)
    package static let brokenPipe = Errno(rawValue: EPIPE)
    package static let connectionReset = Errno(rawValue: ECONNRESET)
    package static let crossesDevices = Errno(rawValue: EXDEV)
    package static let tooManySymbolicLinks = Errno(rawValue: ELOOP)
    package static let nameTooLong = Errno(rawValue: ENAMETOOLONG)
    package static let timedOut = Errno(rawValue: ETIMEDOUT)

    /// The kernel's words for it, such as "No such file or directory".
    package var description: String {
        // SAFETY: strerrordesc_np returns a constant string, or null for a number it does not know.
        guard let text = unsafe clinux_error_text(rawValue) else { return "error \(rawValue)" }
        return unsafe String(cString: text)
    }
}

/// A system call that failed: which one, why, and on what.
package struct SyscallError: Error, Equatable, CustomStringConvertible {
    package let errno: Errno
    package let call: String
    /// The path or the role of the descriptor, where there is one.
    package let subject: String?

    package init(_ errno: Errno, call: StaticString, on subject: String? = nil) {
        self.errno = errno
        self.call = call.description
        self.subject = subject
    }

    package var description: String {
        guard let subject else { return "\(call): \(errno)" }
        return "\(call) \(subject): \(errno)"
    }
}

/// Runs a call that returns -1 and sets `errno`, again while a signal interrupts it.
@discardableResult
func retrying<Result: FixedWidthInteger & SignedInteger>(
    _ call: StaticString,
    on subject: @autoclosure () -> String? = nil,
    _ body: () -> Result,
) throws(SyscallError) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        let error = currentErrno()
        if error != .interrupted { throw SyscallError(error, call: call, on: subject()) }
    }
}

/// Turns a shim's `-errno` into an error.
@discardableResult
func checked(
    _ call: StaticString,
    on subject: @autoclosure () -> String? = nil,
    _ result: Int32,
) throws(SyscallError) -> Int32 {
    guard result < 0 else { return result }
    throw SyscallError(Errno(rawValue: -result), call: call, on: subject())
}

/// The error of the last failed call of this thread.
func currentErrno() -> Errno {
    // SAFETY: __errno_location returns this thread's errno, valid for the life of the thread.
    Errno(rawValue: unsafe __errno_location().pointee)
}
