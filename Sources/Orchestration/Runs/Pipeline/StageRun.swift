internal import Primitives
internal import Sandboxing
internal import Spec

/// One stage of a pipeline at work: its boxes, as many at the same time as may be. A box that fails ends no other.
struct StageRun: Sendable {
    let runner: SpecRunner
    let pipeline: PipelineSpec
    let stage: PipelineStageSpec
    let index: Int
    let boxes: [PipelineBoxSpec]
    let backend: SharedBackend
    let data: PipelineData
    let input: String?

    private enum Message: Sendable {
        case ended(Int, BoxOutcome)
        case timedOut
    }

    /// The outcomes in the order of the specification. Never throws: who was cancelled says so.
    func run() async -> [BoxOutcome] {
        await withTaskGroup(of: Message.self) { group in
            var outcomes = [BoxOutcome?](repeating: nil, count: boxes.count)
            var waiting = boxes.indices[...]
            var isLate = false
            func startNext() {
                guard let next = waiting.popFirst() else { return }
                group.addTask { .ended(next, await run(boxes[next])) }
            }
            if let seconds = stage.timeoutSeconds {
                group.addTask {
                    do {
                        try await runner.stageLimit(.seconds(seconds))
                        return .timedOut
                    } catch {
                        return .timedOut
                    }
                }
            }
            for _ in 0..<pipeline.maxParallel { startNext() }
            var left = boxes.count
            while left > 0, let message = await group.next() {
                switch message {
                case .ended(let box, let outcome):
                    let outcome = isLate ? late(outcome) : outcome
                    await runner.observe(.stageFinished(name(boxes[box]), outcome.stage))
                    outcomes[box] = outcome
                    left -= 1
                    // Also after a cancellation: each box that was not started says that itself.
                    startNext()
                case .timedOut where !Task.isCancelled:
                    isLate = true
                    group.cancelAll()
                case .timedOut: break
                }
            }
            group.cancelAll()
            return outcomes.compactMap(\.self)
        }
    }

    /// What was cancelled because the stage took too long has failed, unless it was cancelled by hand.
    private func late(_ outcome: BoxOutcome) -> BoxOutcome {
        guard outcome.stage.status == .cancelled, runner.control.cancellation(of: outcome.stage.name) == nil else {
            return outcome
        }
        var outcome = outcome
        let message = "the stage did not finish within \(stage.timeoutSeconds ?? 0) s"
        outcome.stage.status = .failed
        outcome.stage.error = message
        outcome.failure = RunFailure(.run, message, hint: "raise the stage's timeout_secs")
        return outcome
    }

    private func name(_ box: PipelineBoxSpec) -> StageName {
        StageName(ofBox: box.name, group: index)
    }

    // MARK: One box

    private func run(_ box: PipelineBoxSpec) async -> BoxOutcome {
        for input in box.inputs {
            guard let producer = pipeline.producer(of: input.from), !data.isComplete(input.from) else { continue }
            return BoxOutcome(
                skipped: box.name,
                "its input '\(input.from)' is missing: \"\(producer)\" did not succeed"
            )
        }
        return await runner.control.run(box.name) { await attempts(of: box) }
    }

    private func attempts(of box: PipelineBoxSpec) async -> BoxOutcome {
        let retry = box.retry ?? pipeline.retry
        let start = ContinuousClock.now
        var totals = RunReport(name: box.name, kind: "agent")
        totals.totalCostUSD = 0
        var attempt = 0
        var last: RunReport?
        var why: RunFailure?
        repeat {
            attempt += 1
            do {
                try Task.checkCancellation()
                try data.prepare(box)
            } catch {
                why = error is CancellationError ? RunFailure(.interrupted, "cancelled") : RunFailure(error)
                break
            }
            await runner.observe(.stageStarted(name(box), attempt: attempt))
            let report = await runner.forBox(box, of: pipeline, on: backend, data).execute(input: input)
            totals.addCost(of: report)
            last = report
            why = report.failure ?? (report.success ? nil : RunFailure(.run, "failed"))
            guard let failure = why, failure.class == .run, attempt < retry.maxAttempts else { break }
            let delay = retry.delay(after: attempt)
            await runner.observe(.stageRetrying(name(box), attempt: attempt, after: delay, why: failure.message))
            do {
                try await Task.sleep(for: delay)
            } catch {
                why = RunFailure(.interrupted, "cancelled")
                break
            }
        } while true
        if why == nil { data.complete(box) }
        return outcome(of: box, last, why, totals, attempt, .now - start, triesOften: retry.maxAttempts > 1)
    }

    private func outcome(
        of box: PipelineBoxSpec,
        _ report: RunReport?,
        _ failure: RunFailure?,
        _ totals: RunReport,
        _ attempts: Int,
        _ duration: Duration,
        triesOften: Bool,
    ) -> BoxOutcome {
        var stage = report?.stageResults.first ?? StageReport(name: box.name, status: .failed)
        stage.name = box.name
        stage.status = failure == nil ? .succeeded : .failed
        stage.error = failure?.message
        if failure?.class == .interrupted || Task.isCancelled, failure != nil {
            stage.status = .cancelled
            stage.error = runner.control.cancellation(of: box.name) ?? "run cancelled"
        }
        stage.durationMilliseconds = duration.wholeMilliseconds
        if triesOften { stage.attempts = attempts }
        if report != nil {
            stage.inputTokens = totals.inputTokens
            stage.outputTokens = totals.outputTokens
            stage.costUSD = totals.totalCostUSD
        }
        stage.output = report.flatMap { $0.output.isEmpty ? nil : $0.output }
        stage.structuredOutput = report?.structuredOutput
        return BoxOutcome(stage, totals: report == nil ? nil : totals, failure: failure)
    }
}

extension RunReport {
    fileprivate mutating func addCost(of attempt: RunReport) {
        inputTokens += attempt.inputTokens
        outputTokens += attempt.outputTokens
        cacheReadTokens += attempt.cacheReadTokens
        cacheWriteTokens += attempt.cacheWriteTokens
        warnings += attempt.warnings
        // One that asked nobody has cost nothing, whatever is known of prices.
        let isFree = attempt.totalCostUSD == nil && attempt.inputTokens == 0 && attempt.outputTokens == 0
        totalCostUSD = totalCostUSD.flatMap { sum in isFree ? sum : attempt.totalCostUSD.map { sum + $0 } }
    }
}

extension SpecRunner {
    /// A runner of one box: a specification of its own, made of the pipeline's and the box's.
    fileprivate func forBox(
        _ box: PipelineBoxSpec,
        of pipeline: PipelineSpec,
        on backend: SharedBackend,
        _ data: PipelineData,
    ) -> SpecRunner {
        var spec = spec
        spec.name = box.name
        spec.sandbox = spec.sandbox.applying(box.sandbox)
        spec.sandbox.mounts += data.mounts(of: box)
        spec.llm = box.llm ?? spec.llm
        spec.body = .agent(AgentSpec(box))
        var runner = self
        runner.spec = spec
        runner.makeBackend = { try backend.backend($0) }
        runner.grace = .seconds(pipeline.cancelGraceSeconds)
        return runner
    }
}
