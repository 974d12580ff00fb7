internal import LinuxSystem

/// The full name of a procedure.
package struct TTRPCMethod: Hashable, Sendable, CustomStringConvertible {
    package let service: String
    package let name: String

    package init(service: String, name: String) {
        self.service = service
        self.name = name
    }

    package var description: String { "\(service)/\(name)" }
}

/// How a call ended that did not succeed: `google.rpc.Status` without details.
package struct TTRPCStatus: Error, Hashable, Sendable, CustomStringConvertible {
    /// `google.rpc.Code`.
    package enum Code: Int32, Sendable {
        case ok = 0
        case cancelled = 1
        case unknown = 2
        case invalidArgument = 3
        case deadlineExceeded = 4
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case aborted = 10
        case outOfRange = 11
        case unimplemented = 12
        case `internal` = 13
        case unavailable = 14
        case dataLoss = 15
        case unauthenticated = 16
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(message) (\(code))" }
}

/// Why a call did not get an answer, or the answer it got.
package enum TTRPCError: Error, Hashable, Sendable {
    /// The peer answered with an error.
    case status(TTRPCStatus)
    case deadlineExceeded
    /// The message is above the limit of 4 MiB and was not sent.
    case messageTooLong(Int)
    /// The connection ended before the answer.
    case closed(TTRPCConnectionEnd)
}

package enum TTRPCConnectionEnd: Error, Hashable, Sendable {
    /// `close()` was called on this side.
    case closedHere
    case closedByPeer
    case violation(TTRPCViolation)
    case failed(String)

    init(_ error: SyscallError) {
        switch error.errno {
        case .brokenPipe, .connectionReset: self = .closedByPeer
        default: self = .failed(error.description)
        }
    }
}
