internal import AgentRuntimes
internal import ArgumentParser
internal import Foundation
internal import HostSession
internal import LinuxSystem
internal import Primitives
internal import Runs
internal import Sandboxing
internal import Spec
internal import Synchronization

struct ShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell",
        abstract: "Open a terminal in a fresh box.",
        discussion: """
            With --file of an agent and without a program it is the agent's own user interface, with its model, skills and \
            servers; the specification's prompt, if any, is the first thing the agent is told. Else it is the program, or bash. \
            The box is gone when the program ends, or when the terminal goes. Ctrl-P Ctrl-Q leaves it instead: the program goes \
            on, voidbox ps lists it, voidbox attach comes back to it and voidbox cancel ends it. What the program writes reaches \
            your terminal byte for byte, control characters too. Exit statuses are those of "exec".

            Examples:
              voidbox shell --file examples/interactive.yaml
              voidbox shell --network --mount .:/workspace/src:rw
            """,
    )

    @OptionGroup var box: BoxOptions

    @OptionGroup var log: LogOptions

    @OptionGroup var keys: DetachOptions

    /// Says that this process holds the box, for the terminal at descriptor 3: columns and rows.
    @Option(name: .customLong(ShellCommand.holderOption), help: .private)
    var holds: HeldTerminal?

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments; bash if there are none.")
    var command: [String] = []

    func validate() throws {
        try PassedCommand.check(command, of: self)
    }

    func run() async throws {
        if let holds { return try await hold(holds.size) }
        guard HostTerminal.isThere else {
            throw ValidationError("shell needs a terminal; to run a program without one, use: voidbox exec")
        }
        let channel: TerminalChannel
        do {
            channel = try Self.startHolder()
        } catch {
            throw Console.report(RunFailure(.host, "the shell cannot be started: \(error)"), as: box.global.output)
        }
        throw try await TerminalClient(channel: channel, keys: try keys.keys()).run()
    }

    fileprivate static let holderOption = "holds-terminal"
    private static let holderDescriptor: Int32 = 3

    /// Starts this program once more, in a session of its own, to hold the box. It dies with this process's end of the channel,
    /// unless that was left.
    private static func startHolder() throws -> TerminalChannel {
        let size = HostTerminal.size
        let arguments = CommandLine.arguments
        var argv = Array(arguments.prefix(2)) + ["--\(holderOption)", "\(size.columns)x\(size.rows)"]
        argv += arguments.dropFirst(2)
        var request = SpawnRequest(
            path: "/proc/self/exe",
            argv: argv,
            environment: ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" },
        )
        request.startsSession = true
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        let pair = try OwnedFD.socketPair()
        // It is this process's child as long as this process lives, and is not waited for.
        _ = try ChildProcess.spawn(
            request,
            descriptors: [nothing.rawValue, nothing.rawValue, 2, pair.second.rawValue]
        )
        return try TerminalChannel(pair.keepFirst())
    }

    // MARK: Holding the box

    private func hold(_ size: TerminalSize) async throws {
        let holder = TerminalHolder(first: try TerminalChannel(OwnedFD(adopting: Self.holderDescriptor)))
        var status = ExitStatus.success
        var failure: RunFailure?
        do {
            // From the start: the terminal may go before there is a box.
            try await interruptible { try await run(on: holder, size) }.result.get()
        } catch let error as ExitStatus {
            status = error
        } catch let error as HeldFailure {
            (status, failure) = (error.status, error.failure)
        } catch {
            failure = RunFailure(error)
            status = Console.report(RunFailure(error), as: box.global.output)
        }
        await holder.end(status, failure)
        throw status
    }

    private struct HeldFailure: Error {
        let status: ExitStatus
        let failure: RunFailure
    }

    private func run(on holder: TerminalHolder, _ size: TerminalSize) async throws {
        let spec: Spec
        let argv = PassedCommand.argv(command)
        do {
            spec = try box.spec().applying(environment: ProcessInfo.processInfo.environment)
        } catch {
            let failure = RunFailure(error)
            throw HeldFailure(status: Console.report(failure, as: box.global.output), failure: failure)
        }
        if argv.isEmpty, let file = box.file, case .agent(let agent) = spec.body {
            try await open(agent, of: spec, file, on: holder, size)
        } else {
            try await open(argv.isEmpty ? ["bash", "-l"] : argv, of: spec, on: holder, size)
        }
    }

    /// A program. What is told of the run stands before and after it.
    private func open(_ argv: [String], of spec: Spec, on holder: TerminalHolder, _ size: TerminalSize) async throws {
        var spec = spec
        spec.body = .sandbox
        let record = RecordedRun.begin(
            spec,
            file: box.file ?? "-",
            environment: ProcessInfo.processInfo.environment,
        )
        await holder.begin(record.map { ($0.id, $0.directory) })
        var report = RunReport(name: spec.name, kind: spec.kind.rawValue)
        let start = ContinuousClock.now
        let backend = spec.sandbox.backend(on: .thisHost)
        (report.backend, report.isolated) = (backend.rawValue, backend != .mock)
        var request = box.request(argv)
        request.terminal = size
        request.environment["TERM"] = HostTerminal.type
        record?.observe(.booting(box: spec.name, backend: backend))
        let outcome: Result<ExecExit, any Error>
        do {
            let exit = try await box.withBox(of: spec) { [request, name = spec.name] box in
                record?.observe(.ready(box: name, after: .now - start))
                return try await holder.show(try await box.exec(request))
            }
            outcome = .success(exit)
            report.success = exit.status.isSuccess
            if !report.success {
                report.failure = RunFailure(.run, "the program ended with status \(exit.status.shellCode)")
            }
        } catch {
            outcome = .failure(error)
            let isInterrupted = (error as? ExitStatus) == .interrupted
            report.failure =
                isInterrupted
                ? RunFailure(.interrupted, "interrupted; the box was stopped")
                : RunFailure(.run, "the program could not be run to its end")
        }
        record?.observe(.stopped(box: spec.name))
        report.durationMilliseconds = (ContinuousClock.now - start).wholeMilliseconds
        record?.end(&report)
        do {
            throw ExitStatus(of: try outcome.get())
        } catch let status as ExitStatus {
            // Of a program that ended, its user has seen how.
            guard case .failure = outcome, let failure = report.failure else { throw status }
            throw HeldFailure(status: status, failure: failure)
        }
    }

    /// The agent's own user interface.
    private func open(
        _ agent: AgentSpec,
        of spec: Spec,
        _ file: String,
        on holder: TerminalHolder,
        _ size: TerminalSize,
    ) async throws {
        var (agent, spec) = (agent, spec)
        agent.mode = .interactive
        agent.restart = RestartSpec()
        spec.body = .agent(agent)
        let exit = Mutex<ExecExit?>(nil)
        let session = try RunSession(spec, file: file, log: log, box.global.output, isQuiet: false)
        await holder.begin(session.recorded)
        let terminal = AgentTerminal(size: size, type: HostTerminal.type) { session in
            let ended = try await holder.show(session)
            exit.withLock { $0 = ended }
            return ended
        }
        let report = try await session.run(input: nil, terminal: terminal)
        // The user has seen how a program ended that was shown.
        if let exit = exit.withLock({ $0 }), report.failure?.class != .interrupted { throw ExitStatus(of: exit) }
        guard let failure = report.failure else { return }
        throw HeldFailure(status: Console.report(failure, as: box.global.output), failure: failure)
    }

}

/// The size of the terminal that a process holds a box for: `100x30`.
struct HeldTerminal: ExpressibleByArgument, Sendable {
    let size: TerminalSize

    init?(argument: String) {
        let numbers = argument.split(separator: "x").compactMap { UInt16($0) }
        guard numbers.count == 2 else { return nil }
        size = TerminalSize(columns: numbers[0], rows: numbers[1])
    }
}
