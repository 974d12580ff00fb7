internal import AgentRuntimes
internal import Primitives
internal import Sandboxing
internal import Spec
internal import Synchronization
package import Telemetry

/// Makes spans, metrics and log lines of what a run does. Any thread: calls may overlap.
///
/// The tree is run → box → boot, agent → tool calls; in a pipeline run → stage → box; in a workflow run → box → step → exec.
package final class RunTelemetry: Sendable {
    /// Of a pipeline: the stages whose boxes have not all ended.
    private struct Stages {
        var isPipeline = false
        var ofBox: [String: Int] = [:]
        var boxesLeft: [Int: Int] = [:]
        var failed: Set<Int> = []
    }

    private static let run = ["run"]
    private let tree: SpanTree
    private let stages = Mutex(Stages())

    package init(sink: any TelemetrySink, remote: TraceContext?, now: @escaping @Sendable () -> UInt64) {
        tree = SpanTree(sink: sink, remote: remote, now: now)
    }

    private var sink: any TelemetrySink { tree.sink }
    private func path(_ box: String, _ rest: String...) -> SpanTree.Path {
        let stage = stages.withLock { $0.ofBox[box] }
        return (stage.map(Self.path(ofStage:)) ?? Self.run) + ["box:\(box)"] + rest
    }

    private func path(_ step: StageName, _ rest: String...) -> SpanTree.Path {
        path(step.box, "step:\(step.name)") + rest
    }

    private static func path(ofStage index: Int) -> SpanTree.Path { run + ["stage:\(index)"] }

    // MARK: The run

    func runBegan(name: String, kind: Spec.Kind) {
        stages.withLock { $0.isPipeline = kind == .pipeline }
        tree.begin(Self.run, "run \(name)", [Convention.run: .text(name), Convention.kind: .text(kind.rawValue)])
    }

    func runEnded(_ report: RunReport) {
        let outcome: AttributeValue = .text(report.success ? "succeeded" : "failed")
        sink.take(
            Double(report.durationMilliseconds) / 1000,
            of: .runDuration,
            [Convention.kind: .text(report.kind), "voidbox.outcome": outcome],
        )
        var attributes: Attributes = [
            Convention.backend: .text(report.backend), Convention.isolated: .truth(report.isolated),
        ]
        attributes[Convention.cost] = report.totalCostUSD.map { .number($0) }
        tree.end(Self.run, Self.status(report.success, report.failure?.message), attributes)
    }

    private static func status(_ success: Bool, _ message: String?) -> SpanRecord.Status {
        success ? .succeeded : .failed(message ?? "failed")
    }

    // MARK: Events

    func take(_ event: RunEvent) {
        switch event {
        case .booting(let box, let backend):
            let attributes: Attributes = [Convention.box: .text(box), Convention.backend: .text(backend.rawValue)]
            tree.begin(path(box), "box \(box)", attributes)
            tree.begin(path(box, "boot"), "boot", attributes)
        case .ready(let box, let duration):
            tree.end(path(box, "boot"), .succeeded)
            sink.take(duration.inSeconds, of: .bootDuration, [:])
        case .agent(let box, let event): take(event, box)
        case .stopped(let box): tree.end(path(box))
        case .planned(let plans): plan(plans.map(\.stage).filter { !$0.isStep })
        case .stageStarted(let stage, let attempt): began(stage, attempt)
        case .stageOutput(let stage, _, let line): log(line, .information, stage)
        case .stageOutputClosed(let stage, let dropped): log("\(dropped) bytes of output are not told", .warning, stage)
        case .stageReady(let stage, _): log("ready", .information, stage)
        // An attempt is a span of its own. A box's has ended with the box.
        case .stageRetrying(let stage, _, _, let why): if stage.isStep { tree.end(path(stage), .failed(why)) }
        case .stageRestarting(let stage, let restart, _, let why):
            // An attempt of a step is a span of its own; an agent's is the service as long as its box lives.
            if stage.isStep { tree.end(path(stage), .failed(why)) }
            log("restart \(restart): \(why)", .warning, stage)
        case .outputPublished(let stage, let version):
            log("version \(version.number) of \(version.file), \(version.sizeBytes) bytes", .information, stage)
        case .stageFinished(let stage, let report): ended(stage, report)
        case .waiting: break
        case .warning(let box, let text): tree.log("[vm:\(box)] \(text)", .warning, in: path(box, "agent"))
        }
    }

    private func log(_ line: String, _ severity: LogRecord.Severity, _ stage: StageName) {
        guard stage.isStep else { return tree.log("[vm:\(stage.box)] \(line)", severity, in: path(stage.box)) }
        tree.log("[vm:\(stage.box)] [\(stage.name)] \(line)", severity, in: path(stage))
    }

    func bootFailed(box: String, _ error: any Error) {
        let status = SpanRecord.Status.failed(RunFailure(error).message)
        tree.end(path(box, "boot"), status)
        tree.end(path(box), status)
    }

    // MARK: Stages

    /// Boxes of a pipeline are in its stages; a box that is the whole run is in none.
    private func plan(_ boxes: [StageName]) {
        stages.withLock { stages in
            guard stages.isPipeline else { return }
            for box in boxes {
                stages.ofBox[box.box] = box.group
                stages.boxesLeft[box.group, default: 0] += 1
            }
        }
    }

    private func began(_ stage: StageName, _ attempt: Int) {
        if stage.isStep {
            let attributes: Attributes = [
                Convention.step: .text(stage.name), Convention.attempt: .integer(Int64(attempt)),
            ]
            tree.begin(path(stage), "step \(stage.name)", attributes)
        } else if stages.withLock({ $0.ofBox[stage.box] }) != nil {
            // With each of its boxes: the first one begins it.
            let attributes: Attributes = [Convention.stage: .integer(Int64(stage.group + 1))]
            tree.begin(Self.path(ofStage: stage.group), "stage \(stage.group + 1)", attributes)
        }
    }

    private func ended(_ stage: StageName, _ report: StageReport) {
        let isGood = report.status == .succeeded
        guard !stage.isStep else {
            var attributes: Attributes = [:]
            attributes[Convention.exitCode] = report.exitCode.map { .integer(Int64($0)) }
            return tree.end(path(stage), Self.status(isGood, report.error), attributes)
        }
        let outcome = stages.withLock { stages -> Bool? in
            guard let left = stages.boxesLeft[stage.group] else { return nil }
            stages.boxesLeft[stage.group] = left - 1
            if !isGood { stages.failed.insert(stage.group) }
            return left == 1 ? !stages.failed.contains(stage.group) : nil
        }
        guard let outcome else { return }
        tree.end(Self.path(ofStage: stage.group), Self.status(outcome, "not every box succeeded"))
    }

    // MARK: Agents

    private func take(_ event: AgentEvent, _ box: String) {
        let agent = path(box, "agent")
        switch event {
        case .started(let session, let model):
            var attributes: Attributes = [:]
            attributes[Convention.conversation] = session.map { .text($0) }
            attributes[Convention.responseModel] = model.map { .text($0) }
            tree.log("[vm:\(box)] agent started", .information, in: agent, attributes)
        case .text(let text):
            // What agents say may be long; the report has all of it.
            tree.log("[vm:\(box)] \(text.prefix(4000))", .information, in: agent)
        case .toolStarted(let id, let name, let summary):
            var attributes: Attributes = [
                Convention.operation: .text(Convention.executeTool), Convention.tool: .text(name),
                Convention.toolCall: .text(id), Convention.toolType: .text("function"),
            ]
            if !summary.isEmpty { attributes[Convention.toolArguments] = .text(summary) }
            tree.begin(agent + ["tool:\(id)"], "\(Convention.executeTool) \(name)", attributes)
        case .toolFinished(let id, let name, let isError, let output):
            var attributes: Attributes = [Convention.toolResult: .text(output)]
            if isError { attributes[Convention.errorType] = .text("tool_error") }
            let status: SpanRecord.Status = isError ? .failed(String(output.prefix(200))) : .succeeded
            tree.end(agent + ["tool:\(id)"], status, attributes)
            sink.take(1, of: .toolCalls, [Convention.tool: .text(name), "voidbox.is_error": .truth(isError)])
        case .stderr(let line): tree.log("[vm:\(box)] \(line)", .warning, in: agent)
        case .warning(let text): tree.log("[vm:\(box)] \(text)", .warning, in: agent)
        }
    }

    func agentBegan(box: String, agent: String, provider: String, model: String?) {
        var attributes: Attributes = [
            Convention.operation: .text(Convention.invokeAgent), Convention.agent: .text(agent),
            Convention.provider: .text(Convention.providerName(provider)), Convention.box: .text(box),
        ]
        attributes[Convention.requestModel] = model.map { .text($0) }
        tree.begin(path(box, "agent"), "\(Convention.invokeAgent) \(agent)", attributes, isClient: true)
    }

    /// What programs below the agent's span are told; none while there is no such span.
    func agentEnvironment(box: String) -> [String: String] { environment(path(box, "agent")) }

    func agentEnded(
        box: String,
        _ outcome: AgentOutcome,
        provider: String,
    ) {
        let model = outcome.model
        var attributes: Attributes = [
            Convention.inputTokens: .integer(Int64(clamping: outcome.inputTokens)),
            Convention.outputTokens: .integer(Int64(clamping: outcome.outputTokens)),
            Convention.cacheReadTokens: .integer(Int64(clamping: outcome.cacheReadTokens)),
            Convention.cacheWriteTokens: .integer(Int64(clamping: outcome.cacheWriteTokens)),
            Convention.turns: .integer(Int64(outcome.turns)), Convention.toolCount: .integer(Int64(outcome.toolCalls)),
        ]
        attributes[Convention.responseModel] = model.map { .text($0) }
        attributes[Convention.conversation] = outcome.session.map { .text($0) }
        attributes[Convention.cost] = outcome.cost.map { .number($0) }
        if outcome.failure != nil { attributes[Convention.errorType] = .text("agent_error") }
        tree.end(path(box, "agent"), Self.status(outcome.failure == nil, outcome.failure), attributes)

        var labels: Attributes = [
            Convention.operation: .text(Convention.invokeAgent), Convention.box: .text(box),
            Convention.provider: .text(Convention.providerName(provider)),
        ]
        labels[Convention.responseModel] = model.map { .text($0) }
        for (type, count) in [("input", outcome.inputTokens), ("output", outcome.outputTokens)] {
            let typed = labels.merging([Convention.tokenType: .text(type)]) { $1 }
            sink.take(Double(count), of: .tokenUsage, typed)
        }
        sink.take(outcome.duration.inSeconds, of: .agentDuration, labels)
        if let cost = outcome.cost { sink.take(cost, of: .cost, labels) }
    }

    // MARK: Programs

    func execBegan(_ step: StageName, program: String) -> [String: String] {
        let path = path(step, "exec")
        tree.begin(path, "exec \(program)", [Convention.program: .text(program)])
        return environment(path)
    }

    func execEnded(_ step: StageName, program: String, _ result: Result<ExecExit, any Error>) {
        let path = path(step, "exec")
        switch result {
        case .success(let exit):
            let code = exit.status.shellCode
            tree.end(
                path,
                exit.status.isSuccess ? .succeeded : .failed("exit status \(code)"),
                [Convention.exitCode: .integer(Int64(code))],
            )
            sink.take(exit.duration.inSeconds, of: .execDuration, [Convention.program: .text(program)])
        case .failure(let error): tree.end(path, .failed("\(error)"))
        }
    }

    private func environment(_ path: SpanTree.Path) -> [String: String] {
        tree.traceparent(path).map { ["TRACEPARENT": $0] } ?? [:]
    }

    // MARK: The guest

    /// Takes samples until the box ends or the task is cancelled.
    func follow(_ box: any SandboxInstance) async {
        let labels: Attributes = [Convention.box: .text(box.identity.name)]
        do {
            for try await sample in try await box.telemetry(every: .seconds(1)) {
                sink.take(sample.cpuPercent / 100, of: .guestCPU, labels)
                sink.take(Double(sample.memoryUsed.bytes), of: .guestMemory, labels)
            }
        } catch {
            // A box that has no figures, or none any more, is a box all the same.
        }
    }
}

/// What an agent came to, for those who only count.
struct AgentOutcome: Sendable {
    var model: String?
    var session: String?
    var inputTokens: UInt64
    var outputTokens: UInt64
    var cacheReadTokens: UInt64
    var cacheWriteTokens: UInt64
    var cost: Double?
    var turns: Int
    var toolCalls: Int
    var duration: Duration
    var failure: String?
}

extension Duration {
    fileprivate var inSeconds: Double { Double(wholeMilliseconds) / 1000 }
}
