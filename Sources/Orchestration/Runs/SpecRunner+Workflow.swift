internal import AgentRuntimes
internal import ModelBroker
internal import ModelProviders
internal import Primitives
internal import Sandboxing
internal import Spec

/// kind: workflow. All steps share one box.
extension SpecRunner {
    func runWorkflow(_ workflow: WorkflowSpec, input: String?, _ report: inout RunReport) async throws {
        guard let agent = workflow.agent else {
            return try await withBox(agent: nil, &report) { box, report in
                report.totalCostUSD = 0
                try await runSteps(of: workflow, input: input, in: box, &report)
            }
        }
        let provider = try provider()
        try await withBroker(for: provider, &report) { broker, report in
            try await withBox(agent: agent, &report) { box, report in
                let attachment = try await broker.attach(to: box)
                // What a step needs to call the agent as a run of kind agent would.
                var task = AgentTask(program: agent.rawValue, prompt: "")
                task.model = provider.model
                task.environment = agent.environment(
                    provider,
                    baseURL: attachment.guestBaseURL,
                    token: attachment.token,
                )
                try await AgentRun(task, by: agent.runtime, in: box).provision()
                var runner = self
                runner.stepEnvironment = agent.runtime.request(for: task, turn: .first).environment
                runner.stepEnvironment.merge(task.environment) { $1 }
                let outcome: Result<Void, any Error>
                do {
                    outcome = .success(try await runner.runSteps(of: workflow, input: input, in: box, &report))
                } catch {
                    outcome = .failure(error)
                }
                await attachment.close()
                let usage = await broker.usage
                if usage.requests == 0 { report.totalCostUSD = 0 }
                report.charge(usage)
                try outcome.get()
            }
        }
    }

    private func runSteps(
        of workflow: WorkflowSpec,
        input: String?,
        in box: any SandboxInstance,
        _ report: inout RunReport,
    ) async throws {
        if let input { try await box.writeFile(inputFile, Array(input.utf8)) }
        let (stages, output) = await WorkflowRun(runner: self, workflow: workflow, box: box).run()
        report.stageResults = stages
        report.stages = stages.count
        report.output = output.map { String(decoding: $0, as: UTF8.self) } ?? ""
        try Task.checkCancellation()
        try await collectResult(of: box, &report)
        report.judge(stages)
    }
}

extension RunReport {
    /// A workflow succeeds if every step did; the failure names each that failed.
    fileprivate mutating func judge(_ stages: [StageReport]) {
        let failed = stages.filter { $0.status == .failed || $0.status == .cancelled }
        success = failed.isEmpty
        guard !failed.isEmpty else { return }
        let list = failed.map { "\($0.name) (\($0.error ?? $0.status.rawValue))" }.joined(separator: ", ")
        failure = RunFailure(.run, "failed steps: \(list)")
    }
}
