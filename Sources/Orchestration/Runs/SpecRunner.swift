package import AgentRuntimes
internal import LinuxSystem
package import Logging
internal import Primitives
package import Sandboxing
package import Spec

/// Carries out a specification: boots its box, runs what it says, and leaves nothing behind.
package struct SpecRunner: Sendable {
    /// Makes a backend of that name on this host.
    package typealias BackendFactory = @Sendable (BackendName) throws -> any SandboxBackend

    var spec: Spec
    let file: String
    let environment: [String: String]
    let logger: Logger
    let observe: RunObserver
    let telemetry: RunTelemetry?
    var makeBackend: BackendFactory
    let control: RunControl
    /// The run's directories on the host; nil for a run that is not recorded.
    let directories: RunDirectories?
    /// Where an agent with `mode: interactive` is shown.
    let terminal: AgentTerminal?
    /// How long a box that is stopped has to end by itself.
    var grace = Duration.seconds(5)
    package var serviceTiming = ServiceTiming()
    /// Returns when a stage of a pipeline has had its time. A test may let that begin when it likes.
    var stageLimit: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    /// Of a workflow's steps, beside what the box gives every program.
    var stepEnvironment: [String: String] = [:]

    package init(
        _ spec: Spec,
        file: String,
        environment: [String: String],
        logger: Logger,
        telemetry: RunTelemetry? = nil,
        makeBackend: @escaping BackendFactory,
        observe: @escaping RunObserver,
        control: RunControl = RunControl(),
        directories: RunDirectories? = nil,
        terminal: AgentTerminal? = nil,
    ) {
        self.spec = spec
        self.file = file
        self.environment = environment
        self.logger = logger
        self.makeBackend = makeBackend
        self.telemetry = telemetry
        self.observe = { event in
            telemetry?.take(event)
            await observe(event)
        }
        self.control = control
        self.directories = directories
        self.terminal = terminal
    }

    /// Runs to the end. Whatever goes wrong is in the report, also that the task was cancelled.
    package func run(input: String?) async -> RunReport {
        do {
            try spec.checkCapabilities(file: file)
        } catch {
            var report = RunReport(name: spec.name, kind: spec.kind.rawValue)
            report.failure = RunFailure(error)
            return report
        }
        telemetry?.runBegan(name: spec.name, kind: spec.kind)
        let report: RunReport
        if case .agent = spec.body {
            let stage = StageName(ofBox: spec.name)
            await observe(.planned([StagePlan(stage)]))
            await observe(.stageStarted(stage, attempt: 1))
            report = await execute(input: input)
            for result in report.stageResults { await observe(.stageFinished(stage, result)) }
        } else {
            report = await execute(input: input)
        }
        telemetry?.runEnded(report)
        return report
    }

    /// Runs without a word about stages that are whole specifications.
    func execute(input: String?) async -> RunReport {
        let start = ContinuousClock.now
        var report = RunReport(name: spec.name, kind: spec.kind.rawValue)
        do {
            try await run(input, &report)
        } catch {
            report.success = false
            report.failure =
                error is CancellationError || Task.isCancelled
                ? RunFailure(.interrupted, "interrupted; the box was stopped") : RunFailure(error)
        }
        report.durationMilliseconds = (ContinuousClock.now - start).wholeMilliseconds
        if case .agent = spec.body, report.stageResults.isEmpty {
            report.stages = 1
            report.stageResults = [
                StageReport(
                    name: spec.name,
                    status: report.failure?.class == .interrupted ? .cancelled : .failed,
                    durationMilliseconds: report.durationMilliseconds,
                    error: report.failure?.message,
                )
            ]
        }
        return report
    }

    private func run(_ input: String?, _ report: inout RunReport) async throws {
        switch spec.body {
        case .agent(let agent): try await runAgent(agent, input: input, &report)
        case .workflow(let workflow): try await runWorkflow(workflow, input: input, &report)
        case .sandbox: try await runSandbox(&report)
        case .pipeline(let pipeline): try await runPipeline(pipeline, input: input, &report)
        }
    }

    // MARK: The box

    /// Boots the box, hands it to `body`, and stops it whatever happens, also when the task is cancelled.
    func withBox(
        agent: AgentName?,
        _ report: inout RunReport,
        _ body: (any SandboxInstance, inout RunReport) async throws -> Void,
    ) async throws {
        let name = spec.sandbox.backend(on: .thisHost)
        report.backend = name.rawValue
        report.isolated = name != .mock
        let (configuration, warnings) = try BoxBuilder(environment: environment, file: file).configuration(
            name: spec.name,
            sandbox: spec.sandbox,
            agent: agent,
            backend: name,
        )
        let backend = try makeBackend(name)
        for warning in warnings { await warn(warning, &report) }
        await observe(.booting(box: spec.name, backend: name))
        let start = ContinuousClock.now
        let box: any SandboxInstance
        do {
            box = try await backend.boot(configuration)
        } catch {
            telemetry?.bootFailed(box: spec.name, error)
            throw error
        }
        let sampling = telemetry.map { telemetry in Task { await telemetry.follow(box) } }
        defer { sampling?.cancel() }
        do {
            await observe(.ready(box: spec.name, after: .now - start))
            for warning in try await box.health().warnings { await warn("guest: \(warning)", &report) }
            try await body(box, &report)
            await stop(box)
        } catch {
            await stop(box)
            throw error
        }
    }

    /// Where the run's input appears: never in a directory of the host, where a file of its owner may have that name.
    var inputFile: String {
        let usual = "/workspace/input.json"
        return spec.sandbox.mounts.contains { usual.hasPrefix($0.guest + "/") } ? "/run/voidbox/input.json" : usual
    }

    /// Once: a box that takes the place of another mostly has the same to say.
    func warn(_ text: String, _ report: inout RunReport) async {
        guard !report.warnings.contains(text) else { return }
        report.warnings.append(text)
        await observe(.warning(box: spec.name, text))
    }

    /// In a task of its own: the cancellation that ends the run must not end the cleaning up.
    private func stop(_ box: any SandboxInstance) async {
        await Task { [grace] in await box.stop(grace: grace) }.value
        await observe(.stopped(box: spec.name))
    }

    // MARK: kind: sandbox

    private func runSandbox(_ report: inout RunReport) async throws {
        try await withBox(agent: nil, &report) { box, report in
            let ready = try await box.run(ExecRequest(["echo", "ready"]))
            report.output = String(decoding: ready.stdout, as: UTF8.self)
            report.stages = 1
            report.success = ready.exit.status.isSuccess
            await observe(.waiting(box: spec.name))
            switch try await box.waitUntilEnded() {
            case .stopped: break
            case .guestReset(let console):
                throw RunFailure(.run, "the guest reset itself; its console ends:\n\(console.suffix(2000))")
            case .machineFailed(let reason): throw RunFailure(.run, reason)
            }
        }
    }
}

extension RunFailure {
    /// What any error of a run means to the one who started it.
    package init(_ error: any Error) {
        switch error {
        case let error as RunFailure: self = error
        case let error as SpecError: self.init(.usage, error.description)
        case let error as SandboxError:
            let isHost = error.code == .hostUnsupported || error.code == .unsupported
            self.init(isHost ? .host : .run, "\(error.resource): \(error.message)", hint: error.hint)
        default: self.init(.run, "\(error)")
        }
    }
}
