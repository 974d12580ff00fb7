internal import AgentRuntimes
internal import LinuxSystem
internal import Primitives
internal import Sandboxing
internal import Spec

/// kind: pipeline. Each box has a machine and an agent of its own; stages run one after another.
extension SpecRunner {
    func runPipeline(_ pipeline: PipelineSpec, input: String?, _ report: inout RunReport) async throws {
        // A box with a network may need another one than its neighbour.
        let backends = Set(pipeline.boxes.map { spec.sandbox.applying($0.sandbox).backend(on: .thisHost) })
        report.backend = backends.map(\.rawValue).sorted().joined(separator: ", ")
        report.isolated = !backends.contains(.mock)
        let data = try PipelineData(pipeline, parent: directories?.work)
        do {
            try await runStages(of: pipeline, on: SharedBackend(makeBackend), data, input: input, &report)
            await remove(data, &report)
        } catch {
            await remove(data, &report)
            throw error
        }
    }

    private func remove(_ data: PipelineData, _ report: inout RunReport) async {
        do {
            try data.remove()
        } catch {
            await warn("the run's temporary directory cannot be removed: \(error)", &report)
        }
    }

    private func runStages(
        of pipeline: PipelineSpec,
        on backend: SharedBackend,
        _ data: PipelineData,
        input: String?,
        _ report: inout RunReport,
    ) async throws {
        let stages = pipeline.plannedStages
        await observe(.planned(plan(pipeline)))
        var carry = input
        var stopped: String?
        var outcomes: [BoxOutcome] = []
        for (index, stage) in stages.enumerated() {
            let boxes = stage.boxes.compactMap { name in pipeline.boxes.first { $0.name == name } }
            if Task.isCancelled { stopped = "run cancelled" }
            let results: [BoxOutcome]
            if let stopped {
                results = boxes.map { BoxOutcome(skipped: $0.name, stopped) }
                for result in results {
                    await observe(.stageFinished(stageName(result.stage.name, index), result.stage))
                }
            } else {
                let run = StageRun(
                    runner: self,
                    pipeline: pipeline,
                    stage: stage,
                    index: index,
                    boxes: boxes,
                    backend: backend,
                    data: data,
                    input: carry,
                )
                results = await run.run()
                let result = StageCarry(stage, results)
                carry = result.text
                report.output = carry ?? ""
                report.structuredOutput = result.structured
            }
            outcomes += results
            for result in results { report.add(result) }
            let failed = results.first { $0.stage.status == .failed || $0.stage.status == .cancelled }
            if let failed, stopped == nil, (stage.onFailure ?? pipeline.onFailure) == .stop {
                stopped = "\"\(failed.stage.name)\" \(failed.stage.status.rawValue)"
            }
        }
        report.stages = outcomes.count
        report.judge(outcomes)
        try Task.checkCancellation()
    }

    private func stageName(_ box: String, _ index: Int) -> StageName {
        StageName(ofBox: box, group: index)
    }

    private func plan(_ pipeline: PipelineSpec) -> [StagePlan] {
        var previous: [String] = []
        return pipeline.plannedStages.enumerated().flatMap { index, stage in
            defer { previous = stage.boxes }
            return stage.boxes.map { StagePlan(stageName($0, index), dependsOn: previous) }
        }
    }
}

/// What one box of a pipeline came to.
struct BoxOutcome: Sendable {
    var stage: StageReport
    /// Of all attempts; nil where none was made.
    var totals: RunReport?
    var failure: RunFailure?

    init(skipped name: String, _ why: String) {
        stage = StageReport(name: name, status: .skipped, error: why)
    }

    init(_ stage: StageReport, totals: RunReport?, failure: RunFailure?) {
        self.stage = stage
        self.totals = totals
        self.failure = failure
    }
}

/// What a stage hands to the next one.
struct StageCarry {
    /// Of a box, its output; of a fan-out, a JSON array of the outputs in the order of the specification, with `null` for a
    /// box that has none. Nil where there is nothing.
    let text: String?
    /// The output of a box that has a schema, as JSON.
    let structured: JSONValue?

    init(_ stage: PipelineStageSpec, _ outcomes: [BoxOutcome]) {
        let outputs = outcomes.map { $0.stage.status == .succeeded ? $0.stage.output ?? "" : nil }
        switch stage.work {
        case .box:
            structured = outcomes.first.flatMap { $0.stage.status == .succeeded ? $0.stage.structuredOutput : nil }
            text = outputs.first.flatMap { $0 }.flatMap { $0.isEmpty ? nil : $0 }
        case .fanOut:
            structured = nil
            // Text and null always can be written as JSON.
            text = try? String(decoding: JSONLines.encode(outputs).dropLast(), as: UTF8.self)
        }
    }
}

extension RunReport {
    fileprivate mutating func add(_ outcome: BoxOutcome) {
        stageResults.append(outcome.stage)
        guard let totals = outcome.totals else { return }
        inputTokens += totals.inputTokens
        outputTokens += totals.outputTokens
        cacheReadTokens += totals.cacheReadTokens
        cacheWriteTokens += totals.cacheWriteTokens
        warnings += totals.warnings.map { "\(outcome.stage.name): \($0)" }
    }

    /// Success is that of every box. The failure names every one that failed.
    fileprivate mutating func judge(_ outcomes: [BoxOutcome]) {
        let costs = outcomes.compactMap(\.totals)
        totalCostUSD =
            costs.allSatisfy { $0.totalCostUSD != nil } ? costs.reduce(0) { $0 + ($1.totalCostUSD ?? 0) } : nil
        let failed = outcomes.filter { $0.stage.status == .failed || $0.stage.status == .cancelled }
        success = outcomes.allSatisfy { $0.stage.status == .succeeded }
        guard let first = failed.first else {
            if !success { failure = RunFailure(.run, "not every box ran") }
            return
        }
        let list = failed.map { "\($0.stage.name) (\($0.stage.error ?? $0.stage.status.rawValue))" }
        // What this host or the specification lacks is told as that.
        let cause = failed.compactMap(\.failure).first { $0.class == .host || $0.class == .usage }
        failure = RunFailure(
            cause?.class ?? .run,
            "failed boxes: \(list.joined(separator: ", "))",
            hint: (cause ?? first.failure)?.hint,
        )
    }
}

extension PipelineSpec {
    /// The box that writes an output.
    func producer(of output: String) -> String? {
        boxes.first { $0.outputs.contains { $0.name == output } }?.name
    }
}
