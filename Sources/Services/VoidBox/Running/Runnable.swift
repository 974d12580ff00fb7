internal import AgentRuntimes
internal import FoundationEssentials
internal import HostSession
internal import Logging
internal import Runs
internal import Spec

/// What can be run to an end: ``VoidBox``, ``Pipeline`` and ``Workflow``.
public protocol Runnable: BoxConfigurable {
    var name: String { get }
    /// Where the run's telemetry goes, beside what the environment says.
    var telemetry: Telemetry? { get set }
    var specification: Specification { get }
}

extension Runnable {
    /// Sends traces, metrics and logs of the run to a collector.
    public func telemetry(_ telemetry: Telemetry) -> Self { with { $0.telemetry = telemetry } }

    /// Runs to the end and leaves nothing behind.
    ///
    /// A run that fails is a result that says so. Throws ``VoidBoxError`` for what cannot begin, because the builder makes no
    /// sense or this host cannot do it, and `CancellationError` once everything was stopped because the task was cancelled.
    ///
    /// - Parameters:
    ///   - input: What the agent, or the first one, finds in `/workspace/input.json`.
    ///   - artifacts: A directory of this host for the artifacts of a workflow.
    public func run(input: String? = nil, artifactsIn artifacts: String? = nil) async throws -> RunResult {
        try await Run(specification, input: input, artifacts: artifacts).run { _ in }
    }

    /// The same, told as it happens: see ``RunEvents``.
    public func stream(input: String? = nil, artifactsIn artifacts: String? = nil) -> RunEvents {
        RunEvents(of: Run(specification, input: input, artifacts: artifacts))
    }

    /// The same, with what agents and programs write handed over as it comes.
    ///
    /// - Parameters:
    ///   - input: What the agent, or the first one, finds in `/workspace/input.json`.
    ///   - body: Gets the name of the box, or of the workflow's step, and a piece of text. Boxes that run at the same time call
    ///     at the same time; each waits for the call to return.
    public func runStreaming(
        input: String? = nil,
        _ body: @escaping @Sendable (_ box: String, _ chunk: String) async -> Void,
    ) async throws -> RunResult {
        try await Run(specification, input: input).run { event in
            switch event {
            case .text(let box, let text): await body(box, text)
            case .output(let step, let line): await body(step, line.text)
            default: break
            }
        }
    }
}

extension VoidBox {
    /// Opens the agent's own user interface on the terminal of this process, until it is left.
    ///
    /// It has the box's model, skills and servers; the prompt, if there is one, is the first thing the agent is told. Throws
    /// as ``Runnable/run(input:artifactsIn:)`` does, and where this process has no terminal.
    public func openTerminal() async throws -> RunResult {
        guard HostTerminal.isThere else {
            throw VoidBoxError(
                .invalid,
                "VoidBox \"\(name)\": the agent's user interface needs a terminal",
                hint: "start the program in one, or give the agent a prompt and run it",
            )
        }
        let terminal = AgentTerminal(size: HostTerminal.size, type: HostTerminal.type) { session in
            try await HostTerminal.show(session)
        }
        return try await Run(interactive.specification, input: nil, terminal: terminal).run { _ in }
    }
}

/// One run of a specification.
struct Run: Sendable {
    private let specification: Specification
    private let input: String?
    private let directories: RunDirectories?
    private let terminal: AgentTerminal?

    init(_ specification: Specification, input: String?, artifacts: String? = nil, terminal: AgentTerminal? = nil) {
        self.specification = specification
        self.input = input
        directories = artifacts.map { artifacts in
            RunDirectories(work: FileManager.default.temporaryDirectory.path, artifacts: artifacts)
        }
        self.terminal = terminal
    }

    /// Throws what is known before there is a box, and `CancellationError`.
    func run(_ observe: @escaping @Sendable (RunEvent) async -> Void) async throws -> RunResult {
        let host = Host.current
        let spec = try specification.spec(environment: host.environment)
        let run: HostRun
        do throws(RunFailure) {
            run = try HostRun(
                spec,
                file: specification.label,
                environment: host.environment,
                logger: Logger(label: "voidbox") { _ in SwiftLogNoOpLogHandler() },
                makeBackend: host.makeBackend,
            )
        } catch {
            throw VoidBoxError(error)
        }
        if let warning = spec.sandbox.memoryWarning { await observe(.warning(box: spec.name, warning)) }
        let report = await run.run(input: input, directories: directories, terminal: terminal) { event in
            if let event = RunEvent(event) { await observe(event) }
        }
        switch report.failure {
        case let failure? where failure.class == .interrupted: throw CancellationError()
        case let failure? where failure.class != .run && !report.hasWorked: throw VoidBoxError(failure)
        default: return RunResult(report)
        }
    }
}

extension RunReport {
    /// Whether a stage of it came to something.
    fileprivate var hasWorked: Bool { stageResults.contains { $0.status == .succeeded } }
}
