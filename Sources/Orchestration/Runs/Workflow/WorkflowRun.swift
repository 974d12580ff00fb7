internal import Primitives
internal import Sandboxing
internal import Spec

/// The steps of a workflow at work in one box: each starts when what it needs is there, not when a whole level has ended.
struct WorkflowRun: Sendable {
    let runner: SpecRunner
    let workflow: WorkflowSpec
    let box: any SandboxInstance

    private enum Message: Sendable {
        case ready(Int)
        case ended(Int, StageReport, output: [UInt8]?)
        case cancelled
    }

    /// What is known while steps run. Confined to the task of `run`.
    fileprivate struct Progress: Sendable {
        var graph: StepGraph
        var reports: [StageReport?]
        /// Kept as long as a step may read it.
        var outputs: [Int: [UInt8]] = [:]
        var readers: [Int]
        var waiting: [Int]
        var running = 0
        /// How to stop the services that run.
        var services: [Int: StopRequest] = [:]
        var readyServices: Set<Int> = []
        var unsettled: Int
    }

    /// Returns the reports in the order of the specification and the output of the step whose output counts. Never throws:
    /// steps that were cancelled say so.
    func run() async -> (reports: [StageReport], output: [UInt8]?) {
        let steps = workflow.steps
        let numbers = Dictionary(steps.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in first }
        let graph = StepGraph(steps)
        let sources = steps.map { step in (step.stdinFrom ?? step.dependsOn.first).flatMap { numbers[$0] } }
        var readers = [Int](repeating: 0, count: steps.count)
        for case let source? in sources { readers[source] += 1 }
        if let result = workflow.resultStep { readers[result] += 1 }
        let names = steps.enumerated().map { number, step in
            StageName(box: runner.spec.name, step: step.name, group: graph.levels[number])
        }
        await runner.observe(.planned(zip(names, steps).map { StagePlan($0, dependsOn: $1.dependencies) }))
        let progress = Progress(
            graph: graph,
            reports: [StageReport?](repeating: nil, count: steps.count),
            readers: readers,
            waiting: graph.roots.reversed(),
            unsettled: steps.count,
        )
        let (messages, sender) = AsyncStream.makeStream(of: Message.self)
        // A task that was cancelled gets nothing from a stream any more, and each step still has its ending to tell: so the
        // steps belong to a task of their own, which learns of a cancellation by a message.
        let work = Task { [progress] in await coordinate(progress, names, sources, messages, sender) }
        let ended = await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            sender.yield(.cancelled)
        }
        return (ended.reports.compactMap(\.self), workflow.resultStep.flatMap { ended.outputs[$0] })
    }

    private func coordinate(
        _ initial: Progress,
        _ names: [StageName],
        _ sources: [Int?],
        _ messages: AsyncStream<Message>,
        _ sender: AsyncStream<Message>.Continuation,
    ) async -> Progress {
        await withDiscardingTaskGroup { group in
            var progress = initial
            start(&progress, names, sources, &group, sender)
            for await message in messages {
                if case .cancelled = message {
                    group.cancelAll()
                } else {
                    await take(message, &progress, names, sources)
                }
                start(&progress, names, sources, &group, sender)
                stopServices(&progress)
                if progress.unsettled == 0 { break }
            }
            return progress
        }
    }

    private func start(
        _ progress: inout Progress,
        _ names: [StageName],
        _ sources: [Int?],
        _ group: inout DiscardingTaskGroup,
        _ sender: AsyncStream<Message>.Continuation,
    ) {
        while let number = progress.waiting.last {
            let step = workflow.steps[number]
            guard step.isService || progress.running < workflow.maxParallel else { break }
            progress.waiting.removeLast()
            if let service = step.service {
                let stop = StopRequest()
                progress.services[number] = stop
                let run = ServiceRun(
                    runner: runner,
                    step: step,
                    service: service,
                    stage: names[number],
                    box: box,
                    onReady: { sender.yield(.ready(number)) },
                    stop: stop,
                )
                group.addTask { sender.yield(.ended(number, await run.run(), output: nil)) }
            } else {
                progress.running += 1
                let input = sources[number].flatMap { progress.outputs[$0] } ?? []
                release(sources[number], &progress)
                let run = StepRun(runner: runner, step: step, stage: names[number], box: box)
                group.addTask {
                    let (report, output) = await run.run(input: input)
                    sender.yield(.ended(number, report, output: output))
                }
            }
        }
    }

    private func take(
        _ message: Message,
        _ progress: inout Progress,
        _ names: [StageName],
        _ sources: [Int?],
    ) async {
        switch message {
        case .cancelled: break
        case .ready(let number):
            progress.readyServices.insert(number)
            progress.add(progress.graph.satisfy(number))
        case .ended(let number, let report, let output):
            let isService = progress.services.removeValue(forKey: number) != nil
            if !isService { progress.running -= 1 }
            if let output, progress.readers[number] > 0 { progress.outputs[number] = output }
            await settle(number, report, &progress, names)
            if report.status == .succeeded {
                // Whoever waits for a service waits for it to be ready, of which there was word before.
                if !isService { progress.add(progress.graph.satisfy(number)) }
            } else if !progress.readyServices.contains(number) {
                for (fallen, cause) in progress.graph.fail(number) {
                    release(sources[fallen], &progress)
                    let why = progress.reports[cause]?.status == .cancelled ? "was cancelled" : "failed"
                    let text = "dependency \"\(workflow.steps[cause].name)\" \(why)"
                    let skipped = StageReport(name: workflow.steps[fallen].name, status: .skipped, error: text)
                    await settle(fallen, skipped, &progress, names)
                }
            }
        }
    }

    private func settle(_ number: Int, _ report: StageReport, _ progress: inout Progress, _ names: [StageName]) async {
        progress.reports[number] = report
        progress.unsettled -= 1
        await runner.observe(.stageFinished(names[number], report))
    }

    /// One reader less.
    private func release(_ source: Int?, _ progress: inout Progress) {
        guard let source else { return }
        progress.readers[source] -= 1
        if progress.readers[source] == 0 { progress.outputs[source] = nil }
    }

    /// A service that others depend on is there for them: it stops when all else has ended. One that nothing depends on is
    /// itself what the workflow is for.
    private func stopServices(_ progress: inout Progress) {
        guard progress.running == 0, progress.waiting.isEmpty, !progress.services.isEmpty else { return }
        let graph = progress.graph
        // Those that are not ready yet have steps that wait for them.
        guard progress.unsettled == progress.services.count, progress.services.keys.allSatisfy(graph.hasDependants)
        else { return }
        for stop in progress.services.values { stop.make() }
    }
}

extension WorkflowRun.Progress {
    /// Steps that may start now, the first one written first.
    fileprivate mutating func add(_ ready: [Int]) {
        guard !ready.isEmpty else { return }
        waiting.insert(contentsOf: ready.sorted(by: >), at: 0)
    }
}
