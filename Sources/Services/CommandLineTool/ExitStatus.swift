internal import Runs
internal import Sandboxing

/// Why a command ends, as the status that scripts see. Thrown to end it after everything has been said.
struct ExitStatus: Error, Hashable {
    let code: Int32

    static let success = ExitStatus(code: 0)
    static let runFailed = ExitStatus(code: 1)
    static let usage = ExitStatus(code: 2)
    static let hostUnsupported = ExitStatus(code: 3)
    static let interrupted = ExitStatus(code: 130)
    /// 128 + SIGPIPE: whoever read stdout has gone.
    static let readerGone = ExitStatus(code: 141)

    /// Of `exec` and `shell`, where a program's own status is passed on: the words of `env(1)` and `timeout(1)`.
    static let programTimedOut = ExitStatus(code: 124)
    static let boxFailed = ExitStatus(code: 125)
    static let programRefused = ExitStatus(code: 126)
    static let programNotFound = ExitStatus(code: 127)
}

extension ExitStatus {
    init(of failure: RunFailure) {
        self =
            switch failure.class {
            case .run: .runFailed
            case .usage: .usage
            case .host: .hostUnsupported
            case .interrupted: .interrupted
            }
    }

    /// Why `exec` or `shell` could not pass on the status of its program.
    init(ofProgram error: any Error) {
        switch (error as? SandboxError)?.code {
        case .cannotStart: self = .programNotFound
        case .programNotAllowed: self = .programRefused
        default:
            let status = ExitStatus(of: RunFailure(error))
            self = status == .runFailed ? .boxFailed : status
        }
    }

    init(of exit: ExecExit) {
        self = exit.timedOut ? .programTimedOut : ExitStatus(code: exit.status.shellCode)
    }
}
