internal import Sandboxing

/// A program to run in a box.
public struct Command: Hashable, Sendable, ExpressibleByArrayLiteral {
    /// Program and arguments; a name without a slash is looked up in the box's `PATH`.
    public var arguments: [String]
    /// Beside the box's own variables.
    public var environment: [String: String] = [:]
    public var directory = "/workspace"
    /// A name of the box's `/etc/passwd`, or `uid[:gid]`.
    public var user = "sandbox"
    /// A program that is slower is killed.
    public var timeout: Duration?

    public init(_ arguments: String...) {
        self.arguments = arguments
    }

    public init(arrayLiteral arguments: String...) {
        self.arguments = arguments
    }

    var request: ExecRequest {
        var request = ExecRequest(arguments)
        request.environment = environment
        request.workingDirectory = directory
        request.user = user
        request.timeout = timeout
        return request
    }
}

/// How a program ended.
public struct ProgramExit: Hashable, Sendable {
    public enum Status: Hashable, Sendable {
        case code(UInt8)
        case signal(Int32)
    }

    public let status: Status
    /// It was killed at its timeout.
    public let timedOut: Bool
    /// Memory ran out, and a process of it was killed.
    public let outOfMemory: Bool
    public let duration: Duration

    public var isSuccess: Bool { status == .code(0) }

    /// What a shell would report: the code, or 128 plus the signal.
    public var shellCode: Int32 {
        switch status {
        case .code(let code): Int32(code)
        case .signal(let signal): 128 + signal
        }
    }

    init(_ exit: ExecExit) {
        status =
            switch exit.status {
            case .code(let code): .code(code)
            case .signal(let signal): .signal(signal)
            }
        timedOut = exit.timedOut
        outOfMemory = exit.outOfMemory
        duration = exit.duration
    }
}

/// What a program wrote, and how it ended.
public struct ProgramResult: Hashable, Sendable {
    public let exit: ProgramExit
    public let stdout: [UInt8]
    public let stderr: [UInt8]
    /// Bytes of both beyond the limit, which were thrown away.
    public let droppedBytes: UInt64

    public var isSuccess: Bool { exit.isSuccess }
    /// stdout as UTF-8; what is none is replaced.
    public var output: String { String(decoding: stdout, as: UTF8.self) }
    public var errors: String { String(decoding: stderr, as: UTF8.self) }
}

/// Of a terminal, in characters.
public struct WindowSize: Hashable, Sendable {
    public var columns: UInt16
    public var rows: UInt16

    public init(columns: UInt16 = 80, rows: UInt16 = 24) {
        self.columns = columns
        self.rows = rows
    }

    var terminalSize: TerminalSize { TerminalSize(columns: columns, rows: rows) }
}
