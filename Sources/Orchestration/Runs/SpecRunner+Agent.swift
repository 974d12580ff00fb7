internal import AgentRuntimes
internal import JSONSchema
internal import MCPRelay
internal import ModelBroker
internal import ModelProviders
internal import Primitives
internal import Sandboxing
internal import Spec

/// kind: agent
extension SpecRunner {
    func runAgent(_ agent: AgentSpec, input: String?, _ report: inout RunReport) async throws {
        if agent.mode == .interactive, terminal == nil {
            throw RunFailure(
                .usage,
                "agent.mode: interactive: the agent's user interface needs a terminal",
                hint: "open it with: voidbox shell --file \(file)",
            )
        }
        let provider = try provider()
        let name = agent.skills.agent(for: spec.llm?.provider)
        let kit = try await AgentKit(agent.skills, file: file, environment: environment)
        let schema = try outputSchema(agent)
        for warning in kit.warnings { await warn(warning, &report) }
        let service = agent.mode == .service ? service(agent) : nil
        var task = AgentTask(program: name.rawValue, prompt: agent.prompt)
        task.input = input
        task.inputFile = inputFile
        task.model = provider.model
        task.skills = kit.bundles
        task.outputSchema = schema
        task.outputRetries = agent.outputRetries ?? task.outputRetries
        if let seconds = agent.timeoutSeconds { task.timeout = .seconds(seconds) }
        if let path = agent.outputFile { task.outputFile = path }
        task.isService = service != nil
        try await withBroker(for: provider, &report) { [task] broker, report in
            let model = AgentModel(name: name, provider: provider, broker: broker)
            var needsBox = true
            while needsBox {
                do {
                    needsBox = false
                    try await withBox(agent: name, &report) { box, report in
                        try await requirePrograms(agent.skills, of: name, in: box)
                        try await run(task, agent, kit, model, service, in: box, &report)
                    }
                } catch {
                    guard let service else { throw error }
                    await report.take(service)
                    // A box that is gone is replaced by a fresh one, where the rule says so.
                    guard let gone = error as? SandboxError, await service.mayReplaceBox(after: gone),
                        (try? await service.goesOn(after: RunFailure(gone))) == true
                    else { throw error }
                    needsBox = true
                }
            }
        }
    }

    /// What an agent needs to reach its model.
    private struct AgentModel {
        let name: AgentName
        let provider: ModelProvider
        let broker: ModelBroker
    }

    /// The agent at work in its box.
    private func run(
        _ task: AgentTask,
        _ agent: AgentSpec,
        _ kit: AgentKit,
        _ model: AgentModel,
        _ service: AgentService?,
        in box: any SandboxInstance,
        _ report: inout RunReport,
    ) async throws {
        let (name, provider) = (model.name, model.provider)
        let attachment = try await model.broker.attach(to: box)
        var task = task
        if name == .codex { try await task.useCodex(in: box) }
        task.environment = name.environment(provider, baseURL: attachment.guestBaseURL, token: attachment.token)
        let relay = try await kit.startRelay(in: box, environment: environment, logger: logger)
        task.mcpServers = kit.guestServers + (relay?.servers ?? [])
        telemetry?.agentBegan(
            box: spec.name,
            agent: name.rawValue,
            provider: provider.kind.rawValue,
            model: provider.model,
        )
        task.environment.merge(telemetry?.agentEnvironment(box: spec.name) ?? [:]) { $1 }
        let outcome: Result<AgentResult, any Error>
        do {
            let run = AgentRun(task, by: name.runtime, in: box)
            if let service {
                outcome = .success(try await service.run(run, in: box))
            } else if agent.mode == .interactive, let terminal {
                outcome = .success(try await run.run(on: terminal))
            } else {
                outcome = .success(
                    try await run.run { [observe, spec] event in
                        await observe(.agent(box: spec.name, event))
                    }
                )
            }
        } catch {
            outcome = .failure(error)
        }
        await relay?.close()
        await attachment.close()
        let usage = await model.broker.usage
        // What it has cost counts, however it ended.
        report.charge(usage)
        let result = try outcome.get()
        report.take(result, usage, provider, agentName: name.rawValue)
        telemetry?.agentEnded(
            box: spec.name,
            AgentOutcome(result, report),
            provider: provider.kind.rawValue,
        )
        for warning in result.warnings { await warn(warning, &report) }
        guard let service else { return }
        await report.take(service)
        // It was told to end, and the report says what there was until then.
        if Task.isCancelled {
            report.stageResults[0].status = .cancelled
            report.stageResults[0].error = "run cancelled"
            throw CancellationError()
        }
    }

    private func service(_ agent: AgentSpec) -> AgentService {
        let stage = StageName(ofBox: spec.name)
        let output = OutputWatch(
            path: agent.outputFile ?? "",
            stage: stage,
            directory: directories?.artifacts,
            limit: serviceTiming.lookLimit,
            observe: observe,
        )
        return AgentService(agent.restart, output: output, stage: stage, timing: serviceTiming, observe: observe)
    }

    /// Hands `body` the broker for its boxes, and closes it whatever happens.
    func withBroker(
        for provider: ModelProvider,
        _ report: inout RunReport,
        _ body: (ModelBroker, inout RunReport) async throws -> Void,
    ) async throws {
        if let warning = provider.warning { await warn(warning, &report) }
        let broker: ModelBroker
        do {
            broker = try await ModelBroker.start(provider: provider, logger: logger) { [observe, spec] failure in
                await observe(.warning(box: spec.name, provider.describe(failure)))
            }
        } catch {
            throw RunFailure(.usage, "\(error)")
        }
        do {
            try await body(broker, &report)
        } catch {
            await broker.close()
            throw error
        }
        await broker.close()
    }

    func provider() throws -> ModelProvider {
        let llm = spec.llm
        let settings = ModelSettings(
            provider: (llm?.provider ?? .claude).rawValue,
            model: llm?.model,
            baseURL: llm?.baseURL,
            apiKeyEnv: llm?.apiKeyEnv,
            script: llm?.script.map { Spec.resolve($0, relativeTo: file) },
        )
        do throws(ModelProviderError) {
            return try ModelProvider(settings, environment: environment)
        } catch {
            throw RunFailure(.usage, error.description)
        }
    }

    /// A skill `cli:NAME` says that the program is in the box.
    private func requirePrograms(
        _ skills: [SkillSpec],
        of agent: AgentName,
        in box: any SandboxInstance,
    ) async throws {
        let variables = spec.sandbox.resolvedEnvironment(host: environment).variables
        let path = variables["PATH"] ?? "\(Self.guestPath):/opt/\(agent.rawValue)/bin"
        for case .cli(let name) in skills {
            let places =
                name.contains("/") ? [name] : path.split(separator: ":").map { "\($0)/\(name)" }
            var isThere = false
            for place in places where !isThere {
                // What cannot be looked at cannot be run either.
                let info = try? await box.stat(place, followLinks: true)
                isThere = info.map { $0.kind == .regular && $0.mode & 0o111 != 0 } ?? false
            }
            try Task.checkCancellation()
            guard !isThere else { continue }
            throw RunFailure(
                .run,
                "skill cli:\(name): the box has no program \(name) (looked in \(path))",
                hint: "install it in the box's image, mount it, or remove the skill",
            )
        }
    }

    /// Of programs in the box, where neither the image nor the specification says otherwise.
    private static let guestPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    private func outputSchema(_ agent: AgentSpec) throws -> JSONSchema? {
        do {
            return try agent.outputSchema?.read(relativeTo: file)
        } catch {
            throw RunFailure(.usage, "agent.\(error)")
        }
    }
}

extension AgentOutcome {
    /// - Parameter report: Has the figures of the broker, which saw every call, where there are some.
    fileprivate init(_ result: AgentResult, _ report: RunReport) {
        self.init(
            model: result.model,
            session: result.sessionID,
            inputTokens: report.inputTokens,
            outputTokens: report.outputTokens,
            cacheReadTokens: report.cacheReadTokens,
            cacheWriteTokens: report.cacheWriteTokens,
            cost: report.totalCostUSD,
            turns: result.turns,
            toolCalls: result.toolCalls.count,
            duration: result.duration,
            failure: report.failure?.message,
        )
    }
}

extension RunReport {
    /// What a service has published, and how often it was started again.
    fileprivate mutating func take(_ service: AgentService) async {
        warnings += await service.output.warnings.filter { !warnings.contains($0) }
        let restarts = await service.restarts
        let version = await service.output.latest
        if !stageResults.isEmpty {
            if restarts > 0 { stageResults[0].restarts = restarts }
            stageResults[0].versions = version?.number ?? 0
        }
        guard let version else { return }
        artifacts = ArtifactReport(version).map { [$0] }
        if let contents = await service.output.contents { output = String(decoding: contents, as: UTF8.self) }
    }

    /// What went through the broker, which saw every call.
    mutating func charge(_ usage: ModelUsage) {
        guard usage.requests > 0 else { return }
        let tokens = usage.tokens
        inputTokens = UInt64(clamping: tokens.input)
        outputTokens = UInt64(clamping: tokens.output)
        cacheReadTokens = UInt64(clamping: tokens.cacheRead)
        cacheWriteTokens = UInt64(clamping: tokens.cacheWrite) + UInt64(clamping: tokens.cacheWriteLong)
        totalCostUSD = usage.cost
    }

    fileprivate mutating func take(
        _ result: AgentResult,
        _ usage: ModelUsage,
        _ provider: ModelProvider,
        agentName: String,
    ) {
        stages = 1
        // Where its last words are only why it failed, they are told once, as that.
        let words = result.failure.map { result.text.hasPrefix($0.message) } == true ? "" : result.text
        output = result.outputFile.map { String(decoding: $0, as: UTF8.self) } ?? words
        // What the agent says of itself counts where nothing went through the broker.
        if usage.requests == 0 {
            inputTokens = result.usage.inputTokens
            outputTokens = result.usage.outputTokens
            cacheReadTokens = result.usage.cacheReadTokens
            cacheWriteTokens = result.usage.cacheWriteTokens
            totalCostUSD = provider.isFree ? 0 : result.costUSD
        }
        var failed = result.failure.map { RunFailure(.run, $0.message, hint: $0.hint) }
        if let endpoint = usage.lastFailure {
            if let said = failed?.message {
                // The agent mostly repeats what the broker told it, with words of its own that do not fit here.
                let told = provider.describe(endpoint)
                failed?.message = said.contains(endpoint.description) ? told : "\(said) (\(told))"
            } else {
                warnings.append("a call failed on the way: \(endpoint)")
            }
        }
        structuredOutput = result.structuredOutput
        failure = failed
        success = failed == nil
        stageResults = [
            StageReport(
                name: name,
                status: success ? .succeeded : .failed,
                exitCode: result.exitCode,
                signal: result.signal,
                durationMilliseconds: result.duration.wholeMilliseconds,
                toolCalls: result.toolCalls.count,
                error: failed?.message,
            )
        ]
    }
}
