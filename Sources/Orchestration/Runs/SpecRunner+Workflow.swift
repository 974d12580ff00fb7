internal import AgentRuntimes
internal import Primitives
internal import Sandboxing
internal import Spec

/// kind: workflow. All steps share one box and run one after another.
extension SpecRunner {
    /// Of one step, kept for the steps that read it.
    private static let outputLimit = 64 << 20

    func runWorkflow(_ workflow: WorkflowSpec, input: String?, _ report: inout RunReport) async throws {
        try await withBox(agent: nil, &report) { box, report in
            if let input { try await box.writeFile(inputFile, Array(input.utf8)) }
            var outputs: [String: [UInt8]] = [:]
            for step in WorkflowOrder.steps(of: workflow) {
                let blocker = step.dependencies.first { name in
                    report.stageResults.contains { $0.name == name && $0.status != .succeeded }
                }
                let stage: StageReport
                if let blocker {
                    stage = StageReport(name: step.name, status: .skipped, error: "dependency \"\(blocker)\" failed")
                } else {
                    await observe(.stepStarted(box: spec.name, step: step.name))
                    let source = step.stdinFrom ?? step.dependsOn.first
                    stage = try await run(step, in: box, input: source.flatMap { outputs[$0] }, &outputs)
                }
                report.stageResults.append(stage)
                await observe(.stepFinished(box: spec.name, stage))
            }
            report.stages = report.stageResults.count
            report.output =
                WorkflowOrder.outputStep(of: workflow)
                .flatMap { outputs[$0] }
                .map { String(decoding: $0, as: UTF8.self) } ?? ""
            report.totalCostUSD = 0
            let failed = report.stageResults.filter { $0.status == .failed }
            report.success = failed.isEmpty
            if !failed.isEmpty {
                let list = failed.map { "\($0.name) (\($0.error ?? "failed"))" }.joined(separator: ", ")
                report.failure = RunFailure(.run, "failed steps: \(list)")
            }
        }
    }

    private func run(
        _ step: WorkflowStepSpec,
        in box: any SandboxInstance,
        input: [UInt8]?,
        _ outputs: inout [String: [UInt8]],
    ) async throws -> StageReport {
        var request = ExecRequest([step.program] + step.args)
        request.timeout = step.timeoutSeconds.map { .seconds($0) }
        if let trace = telemetry?.execBegan(box: spec.name, step: step.name, program: step.program) {
            request.environment.merge(trace) { $1 }
        }
        let start = ContinuousClock.now
        do {
            let result = try await box.run(request, input: input ?? [], outputLimit: Self.outputLimit)
            telemetry?.execEnded(box: spec.name, step: step.name, program: step.program, .success(result.exit))
            // A part of the data must not pass for the data.
            if result.truncatedBytes == 0, result.exit.droppedOutputBytes == 0 { outputs[step.name] = result.stdout }
            for line in String(decoding: result.stderr, as: UTF8.self).split(separator: "\n") {
                await observe(.stepOutput(box: spec.name, step: step.name, line: String(line)))
            }
            return StageReport(step.name, result, step.timeoutSeconds, outputLimit: Self.outputLimit)
        } catch let error as SandboxError where error.code != .machineEnded {
            telemetry?.execEnded(box: spec.name, step: step.name, program: step.program, .failure(error))
            return StageReport(
                name: step.name,
                status: .failed,
                durationMilliseconds: (ContinuousClock.now - start).wholeMilliseconds,
                error: error.description,
            )
        }
    }
}

extension StageReport {
    fileprivate init(_ name: String, _ result: ExecResult, _ timeoutSeconds: Int?, outputLimit: Int) {
        var code: Int32?
        var signal: Int32?
        let problem: String?
        switch result.exit.status {
        case .code(let value):
            code = Int32(value)
            problem = value == 0 ? nil : "exit status \(value)"
        case .signal(let value):
            signal = value
            problem = "signal \(value)"
        }
        var why = problem
        if result.exit.outOfMemory { why = "out of memory" }
        if result.exit.timedOut { why = "timed out after \(timeoutSeconds ?? 0) s" }
        if why == nil, result.truncatedBytes > 0 || result.exit.droppedOutputBytes > 0 {
            why =
                "its output is larger than the \(outputLimit >> 20) MiB that are kept for other steps; "
                + "write it to a file in the box instead"
        }
        let said = String(decoding: result.stderr.suffix(500), as: UTF8.self).split(separator: "\n").last
        self.init(
            name: name,
            status: why == nil ? .succeeded : .failed,
            exitCode: code,
            signal: signal,
            durationMilliseconds: result.exit.duration.wholeMilliseconds,
            error: why.map { why in said.map { "\(why): \($0)" } ?? why },
        )
    }
}
