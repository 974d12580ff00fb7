internal import Sandboxing

extension RunningSandbox {
    /// Runs a program to its end and collects what it writes. One that fails is a result that says so.
    public func exec(_ program: String, _ arguments: String..., input: String = "") async throws -> ProgramResult {
        var command = Command(program)
        command.arguments += arguments
        return try await exec(command, input: Array(input.utf8))
    }

    /// The same of a program with all that can be said of one.
    ///
    /// - Parameters:
    ///   - command: What to run.
    ///   - input: What it reads on its stdin.
    ///   - limit: So many bytes of each stream are kept.
    public func exec(
        _ command: Command,
        input: [UInt8] = [],
        limit: Int = 64 << 20,
    ) async throws -> ProgramResult {
        try await call { instance in
            let result = try await instance.run(command.request, input: input, outputLimit: limit)
            return ProgramResult(
                exit: ProgramExit(result.exit),
                stdout: result.stdout,
                stderr: result.stderr,
                droppedBytes: result.truncatedBytes + result.truncatedErrorBytes,
            )
        }
    }

    /// Starts a program, hands it to `body`, and kills it if it still runs when that returns.
    ///
    /// - Parameters:
    ///   - command: What to run.
    ///   - terminal: Gives it a terminal of that size: stdout and stderr arrive together, as stdout.
    ///   - body: Gets the program while it runs.
    public func withProgram<Result: Sendable>(
        _ command: Command,
        terminal: WindowSize? = nil,
        _ body: (RunningProgram) async throws -> Result,
    ) async throws -> Result {
        try await call { instance in
            var request = command.request
            request.keepsInputOpen = true
            request.terminal = terminal?.terminalSize
            let session = try await instance.exec(request)
            do {
                let result = try await body(RunningProgram(session))
                await session.close()
                return result
            } catch {
                await session.close()
                throw error
            }
        }
    }
}

/// A program that runs. One task takes its events; any task may write, resize and signal.
public struct RunningProgram: AsyncSequence, Sendable {
    @nonexhaustive
    public enum Event: Hashable, Sendable {
        case stdout([UInt8])
        case stderr([UInt8])
        /// Always the last one, after the last byte of output.
        case exited(ProgramExit)
    }

    private let session: any ExecSession

    init(_ session: any ExecSession) {
        self.session = session
    }

    /// Returns when there was room for all of it.
    public func write(_ bytes: [UInt8]) async throws { try await call { try await session.write(bytes) } }
    public func write(_ text: String) async throws { try await write(Array(text.utf8)) }
    public func closeInput() async throws { try await call { try await session.closeInput() } }

    /// Of one with a terminal.
    public func resize(_ size: WindowSize) async throws {
        try await call { try await session.resize(size.terminalSize) }
    }

    /// Sends it a signal by its number: 2 for an interrupt, 15 to end it, 9 to kill it.
    public func signal(_ number: Int32) async throws { try await call { try await session.signal(number) } }

    /// Waits for its end. Output that nobody has taken is thrown away.
    public func wait() async throws -> ProgramExit {
        for try await case .exited(let exit) in self { return exit }
        throw VoidBoxError(.machineEnded, "the program ended without a status")
    }

    /// Takes output until stdout has had this text; false if the program ended before.
    @discardableResult
    public func waitForOutput(_ text: String) async throws -> Bool {
        let wanted = Array(text.utf8)
        var tail: [UInt8] = []
        for try await case .stdout(let bytes) in self {
            tail += bytes
            if tail.contains(wanted) { return true }
            tail.removeFirst(Swift.max(tail.count - wanted.count, 0))
        }
        return false
    }

    public func makeAsyncIterator() -> Iterator { Iterator(session) }

    /// Its output is paused in the box while nobody asks.
    public struct Iterator: AsyncIteratorProtocol {
        private let session: any ExecSession

        init(_ session: any ExecSession) {
            self.session = session
        }

        public func next() async throws -> Event? {
            do {
                return try await session.nextEvent().map { event in
                    switch event {
                    case .stdout(let bytes): .stdout(bytes)
                    case .stderr(let bytes): .stderr(bytes)
                    case .exited(let exit): .exited(ProgramExit(exit))
                    }
                }
            } catch {
                throw VoidBoxError.translating(error)
            }
        }
    }

    private func call(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            throw VoidBoxError.translating(error)
        }
    }
}
