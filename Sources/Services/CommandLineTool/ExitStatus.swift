internal import ArgumentParser
internal import Runs
internal import Sandboxing

/// Exit statuses of `voidbox`, for scripts. `exec` and `shell` return the guest program's own.
enum ExitStatus {
    static let success = ExitCode(0)
    static let runFailed = ExitCode(1)
    static let usage = ExitCode(2)
    static let hostUnsupported = ExitCode(3)
    static let interrupted = ExitCode(130)

    static func of(_ failure: RunFailure) -> ExitCode {
        switch failure.class {
        case .run: runFailed
        case .usage: usage
        case .host: hostUnsupported
        case .interrupted: interrupted
        }
    }
}
