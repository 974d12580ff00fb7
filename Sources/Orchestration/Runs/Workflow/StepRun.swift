internal import Primitives
internal import Sandboxing
internal import Spec

/// One step of a workflow at work.
struct StepRun: Sendable {
    /// Of one step, kept for the steps that read it.
    static let outputLimit = 64 << 20

    let runner: SpecRunner
    let step: WorkflowStepSpec
    let stage: StageName
    let box: any SandboxInstance

    /// Runs the step as often as it may be tried. Returns its report and, if it succeeded, what it wrote. Never throws: who
    /// was cancelled says so.
    func run(input: [UInt8]) async -> (report: StageReport, output: [UInt8]?) {
        await runner.control.run(step.name) { await attempts(input: input) }
    }

    private func attempts(input: [UInt8]) async -> (report: StageReport, output: [UInt8]?) {
        let start = ContinuousClock.now
        var attempt = 0
        while true {
            attempt += 1
            var (report, output): (StageReport, [UInt8]?) = (cancelled, nil)
            do {
                try Task.checkCancellation()
                await runner.observe(.stageStarted(stage, attempt: attempt))
                (report, output) = try await runOnce(input: input)
                if report.status == .failed, attempt < step.retry.maxAttempts {
                    let delay = step.retry.delay(after: attempt)
                    let why = report.error ?? "failed"
                    await runner.observe(.stageRetrying(stage, attempt: attempt, after: delay, why: why))
                    try await Task.sleep(for: delay)
                    continue
                }
            } catch is CancellationError {
                report = cancelled
            } catch {
                report = StageReport(name: step.name, status: .failed, error: RunFailure(error).message)
            }
            if attempt > 1 || report.durationMilliseconds == 0 {
                report.durationMilliseconds = (ContinuousClock.now - start).wholeMilliseconds
            }
            if step.retry.maxAttempts > 1 { report.attempts = attempt }
            return (report, report.status == .succeeded ? output : nil)
        }
    }

    private var cancelled: StageReport {
        let why = runner.control.cancellation(of: step.name) ?? "run cancelled"
        return StageReport(name: step.name, status: .cancelled, error: why)
    }

    private func runOnce(input: [UInt8]) async throws -> (StageReport, [UInt8]?) {
        var request = ExecRequest([step.program] + step.args)
        request.timeout = step.timeoutSeconds.map { .seconds($0) }
        let telemetry = runner.telemetry
        request.environment = runner.stepEnvironment
        request.environment.merge(telemetry?.execBegan(stage, program: step.program) ?? [:]) { $1 }
        var log = StepLog()
        do {
            let result = try await box.run(request, input: input, outputLimit: Self.outputLimit) { event in
                for (stream, line) in log.lines(of: event) { await runner.observe(.stageOutput(stage, stream, line)) }
            }
            telemetry?.execEnded(stage, program: step.program, .success(result.exit))
            if log.droppedBytes > 0 {
                await runner.observe(.stageOutputClosed(stage, droppedBytes: log.droppedBytes))
            }
            return (StageReport(step.name, result, step.timeoutSeconds), result.stdout)
        } catch let error as SandboxError where error.code != .machineEnded {
            telemetry?.execEnded(stage, program: step.program, .failure(error))
            return (StageReport(name: step.name, status: .failed, error: error.description), nil)
        }
    }
}

extension StageReport {
    init(_ name: String, _ result: ExecResult, _ timeoutSeconds: Int?) {
        var why = result.exit.problem
        if result.exit.timedOut { why = "timed out after \(timeoutSeconds ?? 0) s" }
        // A part of the data must not pass for the data.
        if why == nil, result.truncatedBytes > 0 || result.exit.droppedOutputBytes > 0 {
            why =
                "its output is larger than the \(StepRun.outputLimit >> 20) MiB that are kept for other steps; "
                + "write it to a file in the box instead"
        }
        let said = String(decoding: result.stderr.suffix(500), as: UTF8.self).split(separator: "\n").last
        self.init(name, result.exit, error: why.map { why in said.map { "\(why): \($0)" } ?? why })
    }

    init(_ name: String, _ exit: ExecExit, error: String?) {
        var code: Int32?
        var signal: Int32?
        switch exit.status {
        case .code(let value): code = Int32(value)
        case .signal(let value): signal = value
        }
        self.init(
            name: name,
            status: error == nil ? .succeeded : .failed,
            exitCode: code,
            signal: signal,
            durationMilliseconds: exit.duration.wholeMilliseconds,
            error: error,
        )
    }
}

extension ExecExit {
    /// Nil for a good end.
    var problem: String? {
        if outOfMemory { return "out of memory" }
        switch status {
        case .code(let value): return value == 0 ? nil : "exit status \(value)"
        case .signal(let value): return "signal \(value)"
        }
    }
}
