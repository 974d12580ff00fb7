internal import AgentRuntimes
internal import ArgumentParser
internal import Foundation
internal import HostSession
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
            The box is gone when the program ends. What the program writes reaches your terminal byte for byte, control \
            characters too. Exit statuses are those of "exec".

            Examples:
              voidbox shell --file examples/interactive.yaml
              voidbox shell --network --mount .:/workspace/src:rw
            """,
    )

    @OptionGroup var box: BoxOptions

    @OptionGroup var log: LogOptions

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments; bash if there are none.")
    var command: [String] = []

    func validate() throws {
        try PassedCommand.check(command, of: self)
    }

    func run() async throws {
        guard HostTerminal.isThere else {
            throw ValidationError("shell needs a terminal; to run a program without one, use: voidbox exec")
        }
        let argv = PassedCommand.argv(command)
        if argv.isEmpty, let file = box.file {
            let spec: Spec
            do {
                spec = try box.spec().applying(environment: ProcessInfo.processInfo.environment)
            } catch {
                throw Console.report(RunFailure(error), as: box.global.output)
            }
            if case .agent(let agent) = spec.body { return try await open(agent, of: spec, file) }
        }
        var request = box.request(argv.isEmpty ? ["bash", "-l"] : argv)
        request.terminal = HostTerminal.size
        request.environment["TERM"] = HostTerminal.type
        let exit = try await box.withBox { [request] box in try await HostTerminal.show(try await box.exec(request)) }
        throw ExitStatus(of: exit)
    }

    /// The agent's own user interface. What is told of the run stands before and after it.
    private func open(_ agent: AgentSpec, of spec: Spec, _ file: String) async throws {
        var (agent, spec) = (agent, spec)
        agent.mode = .interactive
        spec.body = .agent(agent)
        let exit = Mutex<ExecExit?>(nil)
        let session = try RunSession(spec, file: file, log: log, box.global.output, isQuiet: false)
        let terminal = AgentTerminal(size: HostTerminal.size, type: HostTerminal.type) { session in
            let ended = try await HostTerminal.show(session)
            exit.withLock { $0 = ended }
            return ended
        }
        let report = try await session.run(input: nil, terminal: terminal)
        // The user has seen how a program ended that was shown.
        if let exit = exit.withLock({ $0 }), report.failure?.class != .interrupted { throw ExitStatus(of: exit) }
        guard let failure = report.failure else { return }
        throw Console.report(failure, as: box.global.output)
    }
}
