internal import AgentRuntimes
internal import Foundation
internal import ModelBroker
internal import ModelProviders
internal import Primitives
internal import Sandboxing
internal import Spec

/// kind: agent
extension SpecRunner {
    func runAgent(_ agent: AgentSpec, input: String?, _ report: inout RunReport) async throws {
        let provider = try provider()
        let skills = try provisionedSkills(agent.skills)
        let broker: ModelBroker
        do {
            broker = try await ModelBroker.start(provider: provider, logger: logger)
        } catch {
            throw RunFailure(.usage, "\(error)")
        }
        do {
            try await withBox(agent: agent.agent, &report) { box, report in
                let attachment = try await broker.attach(to: box)
                var task = AgentTask(program: agent.agent.rawValue, prompt: agent.prompt)
                task.input = input
                task.model = provider.model
                task.environment = provider.guestEnvironment(baseURL: attachment.guestBaseURL, token: attachment.token)
                task.skills = skills
                if let seconds = agent.timeoutSeconds { task.timeout = .seconds(seconds) }
                if let path = agent.outputFile { task.outputFile = path }
                let result = try await ClaudeCodeRuntime().run(task, in: box) { [observe, spec] event in
                    await observe(.agent(box: spec.name, event))
                }
                let usage = await broker.usage
                await attachment.close()
                report.take(result, usage, provider, agentName: agent.agent.rawValue)
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

    private func provisionedSkills(_ skills: [SkillSpec]) throws -> [ProvisionedSkill] {
        try skills.compactMap { skill in
            switch skill {
            case .inline(let name, let content): return ProvisionedSkill(name: name, content: content)
            case .file(let path):
                let resolved = Spec.resolve(path, relativeTo: file)
                guard let data = FileManager.default.contents(atPath: resolved) else {
                    throw RunFailure(
                        .usage,
                        "skill file:\(path): \(resolved) cannot be read",
                        hint: "it must be a Markdown file"
                    )
                }
                let name = URL(filePath: resolved).deletingPathExtension().lastPathComponent
                return ProvisionedSkill(name: name.lowercased(), content: String(decoding: data, as: UTF8.self))
            case .agent, .cli, .remote, .mcp, .image: return nil
            }
        }
    }
}

extension RunReport {
    fileprivate mutating func take(
        _ result: AgentResult,
        _ usage: ModelUsage,
        _ provider: ModelProvider,
        agentName: String,
    ) {
        stages = 1
        output = result.outputFile.map { String(decoding: $0, as: UTF8.self) } ?? result.text
        // The broker saw every call. What the agent says of itself counts where nothing went through the broker.
        if usage.requests > 0 {
            let tokens = usage.tokens
            inputTokens = UInt64(clamping: tokens.input)
            outputTokens = UInt64(clamping: tokens.output)
            cacheReadTokens = UInt64(clamping: tokens.cacheRead)
            cacheWriteTokens = UInt64(clamping: tokens.cacheWrite) + UInt64(clamping: tokens.cacheWriteLong)
            totalCostUSD = usage.cost
        } else {
            inputTokens = result.usage.inputTokens
            outputTokens = result.usage.outputTokens
            cacheReadTokens = result.usage.cacheReadTokens
            cacheWriteTokens = result.usage.cacheWriteTokens
            totalCostUSD = provider.isFree ? 0 : result.costUSD
        }
        var failed = result.failure.map { RunFailure(.run, $0.message, hint: $0.hint) }
        if let endpoint = usage.lastFailure {
            if failed == nil {
                warnings.append("a call failed on the way: \(endpoint)")
            } else {
                failed?.message += " (\(endpoint))"
            }
        }
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
