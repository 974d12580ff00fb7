/// A program to run in a box.
package struct ExecRequest: Hashable, Sendable {
    /// Program and arguments; a name without a slash is looked up in the guest's `PATH`.
    package var argv: [String]
    package var environment: [String: String] = [:]
    package var workingDirectory = "/workspace"
    /// A name from the guest's `/etc/passwd` or `uid[:gid]`.
    package var user = "sandbox"
    package var timeout: Duration?
    /// With a terminal, stdout and stderr arrive together as stdout.
    package var terminal: TerminalSize?
    /// Outlives its session.
    package var isDetached = false
    /// False gives it an empty stdin.
    package var keepsInputOpen = false

    package init(_ argv: [String]) {
        self.argv = argv
    }
}

package struct TerminalSize: Hashable, Sendable {
    package var columns: UInt16
    package var rows: UInt16

    package init(columns: UInt16, rows: UInt16) {
        self.columns = columns
        self.rows = rows
    }
}

package enum ExecEvent: Hashable, Sendable {
    case stdout([UInt8])
    case stderr([UInt8])
    /// Always the last event, after the last byte of output.
    case exited(ExecExit)
}

package struct ExecExit: Hashable, Sendable {
    package enum Status: Hashable, Sendable {
        case code(UInt8)
        case signal(Int32)

        package var isSuccess: Bool { self == .code(0) }

        /// What a shell would report: the code, or 128 plus the signal.
        package var shellCode: Int32 {
            switch self {
            case .code(let code): Int32(code)
            case .signal(let signal): 128 + signal
            }
        }
    }

    package var status: Status
    package var timedOut: Bool
    package var outOfMemory: Bool
    package var duration: Duration
    /// Output of a detached exec that nobody read and that was not kept.
    package var droppedOutputBytes: UInt64

    package init(
        status: Status,
        timedOut: Bool = false,
        outOfMemory: Bool = false,
        duration: Duration = .zero,
        droppedOutputBytes: UInt64 = 0,
    ) {
        self.status = status
        self.timedOut = timedOut
        self.outOfMemory = outOfMemory
        self.duration = duration
        self.droppedOutputBytes = droppedOutputBytes
    }
}

package struct ExecInfo: Hashable, Sendable {
    package var id: String
    package var argv: [String]
    package var isAttached: Bool
    package var age: Duration

    package init(id: String, argv: [String], isAttached: Bool, age: Duration) {
        self.id = id
        self.argv = argv
        self.isAttached = isAttached
        self.age = age
    }
}

/// A running program and its streams. One task consumes events; any task may write, resize or signal.
package protocol ExecSession: Sendable {
    var id: String { get }
    /// The next event; nil after `exited`. Output is paused in the guest while nobody asks.
    func nextEvent() async throws -> ExecEvent?
    /// Returns when there was room for all of it in the guest.
    func write(_ bytes: [UInt8]) async throws
    func closeInput() async throws
    func resize(_ size: TerminalSize) async throws
    func signal(_ signal: Int32) async throws
    /// From now on the program outlives this session.
    func detach() async throws
    /// Gives up the session: kills the program and its descendants unless it is detached.
    func close() async
}

package struct ExecResult: Hashable, Sendable {
    package var exit: ExecExit
    package var stdout: [UInt8]
    package var stderr: [UInt8]
    /// Bytes of stdout beyond the caller's limit, which were read and thrown away.
    package var truncatedBytes: UInt64 = 0
    /// The same of stderr.
    package var truncatedErrorBytes: UInt64 = 0
}

extension SandboxInstance {
    /// Runs a program to its end and collects its output, at most `outputLimit` bytes of each stream. `watch` gets all of it
    /// as it comes.
    package func run(
        _ request: ExecRequest,
        input: [UInt8] = [],
        outputLimit: Int = 64 << 20,
        watch: (ExecEvent) async -> Void = { _ in },
    ) async throws -> ExecResult {
        var request = request
        request.keepsInputOpen = !input.isEmpty
        let session = try await exec(request)
        return try await session.feeding(input) { try await session.collect(outputLimit: outputLimit, watch) }
    }
}

extension ExecSession {
    /// Writes all of the input, if there is some, while `body` follows the program; then gives the session up.
    package func feeding<Result: Sendable>(
        _ input: [UInt8],
        _ body: () async throws -> Result,
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            if !input.isEmpty {
                group.addTask {
                    do {
                        try await write(input)
                        try await closeInput()
                    } catch let error as SandboxError where error.code == .inputClosed {
                        // The program ended or closed its stdin before it had read everything, as `head` does.
                    }
                }
            }
            do {
                let result = try await body()
                group.cancelAll()
                await close()
                return result
            } catch {
                group.cancelAll()
                await close()
                throw error
            }
        }
    }

    fileprivate func collect(
        outputLimit: Int,
        _ watch: (ExecEvent) async -> Void,
    ) async throws -> ExecResult {
        var result = ExecResult(exit: ExecExit(status: .code(0)), stdout: [], stderr: [])
        while let event = try await nextEvent() {
            await watch(event)
            switch event {
            case .stdout(let bytes): result.truncatedBytes += result.stdout.append(bytes, upTo: outputLimit)
            case .stderr(let bytes): result.truncatedErrorBytes += result.stderr.append(bytes, upTo: outputLimit)
            case .exited(let exit): result.exit = exit
            }
        }
        return result
    }
}

extension [UInt8] {
    /// Appends what fits below `limit` and returns how many bytes did not.
    fileprivate mutating func append(_ bytes: [UInt8], upTo limit: Int) -> UInt64 {
        let room = Swift.max(limit - count, 0)
        append(contentsOf: bytes.prefix(room))
        return UInt64(bytes.count - Swift.min(room, bytes.count))
    }
}
