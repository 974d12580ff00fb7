internal import Primitives
internal import Sandboxing
internal import Spec

/// kind: workflow. All steps share one box.
extension SpecRunner {
    func runWorkflow(_ workflow: WorkflowSpec, input: String?, _ report: inout RunReport) async throws {
        try await withBox(agent: nil, &report) { box, report in
            if let input { try await box.writeFile(inputFile, Array(input.utf8)) }
            let (stages, output) = await WorkflowRun(runner: self, workflow: workflow, box: box).run()
            report.stageResults = stages
            report.stages = stages.count
            report.output = output.map { String(decoding: $0, as: UTF8.self) } ?? ""
            report.totalCostUSD = 0
            try Task.checkCancellation()
            try await collectResult(of: box, &report)
            report.judge(stages)
        }
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
