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
        let provider = try provider()
        let name = agent.skills.agent(for: spec.llm?.provider)
        let kit = try await AgentKit(agent.skills, file: file, environment: environment)
        let schema = try outputSchema(agent)
        for warning in kit.warnings { await warn(warning, &report) }
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
            try await withBox(agent: name, &report) { box, report in
                try await requirePrograms(agent.skills, of: name, in: box)
                let attachment = try await broker.attach(to: box)
                var task = AgentTask(program: name.rawValue, prompt: agent.prompt)
                if name == .codex { try await task.useCodex(in: box) }
                task.input = input
                task.inputFile = inputFile
                task.model = provider.model
                task.environment = name.environment(
                    provider,
                    baseURL: attachment.guestBaseURL,
                    token: attachment.token,
                )
                let relay = try await kit.startRelay(in: box, environment: environment, logger: logger)
                task.skills = kit.bundles
                task.mcpServers = kit.guestServers + (relay?.servers ?? [])
                task.outputSchema = schema
                task.outputRetries = agent.outputRetries ?? task.outputRetries
                if let seconds = agent.timeoutSeconds { task.timeout = .seconds(seconds) }
                if let path = agent.outputFile { task.outputFile = path }
                telemetry?.agentBegan(
                    box: spec.name,
                    agent: name.rawValue,
                    provider: provider.kind.rawValue,
                    model: provider.model,
                )
                task.environment.merge(telemetry?.agentEnvironment(box: spec.name) ?? [:]) { $1 }
                let outcome: Result<AgentResult, any Error>
                do {
                    outcome = .success(
                        try await AgentRun(task, by: name.runtime, in: box).run { [observe, spec] event in
                            await observe(.agent(box: spec.name, event))
                        }
                    )
                } catch {
                    outcome = .failure(error)
                }
                await relay?.close()
                await attachment.close()
                let usage = await broker.usage
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
            }
            await broker.close()
        } catch {
            await broker.close()
            throw error
        }
    }

    private func provider() throws -> ModelProvider {
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
    /// What went through the broker, which saw every call.
    fileprivate mutating func charge(_ usage: ModelUsage) {
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
