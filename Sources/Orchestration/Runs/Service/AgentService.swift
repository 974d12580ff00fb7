internal import AgentRuntimes
internal import Primitives
internal import Sandboxing
internal import Spec

/// An agent that goes on until it is told to stop: what it writes is published meanwhile, and it is started again by the
/// specification's rule, in the same box while there is one.
actor AgentService {
    let output: OutputWatch
    private let stage: StageName
    private let timing: ServiceTiming
    private let observe: RunObserver
    private let request = StopRequest()
    private var schedule: RestartSchedule
    private var total: AgentResult?
    /// When the last launch in this box began; nil where there has been none.
    private var began: ContinuousClock.Instant?

    var restarts: Int { schedule.restarts }
    /// False as long as no box had been there for it.
    private var hadBox = false

    init(
        _ rule: RestartSpec,
        output: OutputWatch,
        stage: StageName,
        timing: ServiceTiming,
        observe: @escaping RunObserver
    ) {
        schedule = RestartSchedule(rule, settled: timing.settled)
        self.output = output
        self.stage = stage
        self.timing = timing
        self.observe = observe
    }

    /// Runs the service in a box to its last end there. When the task is cancelled, the agent is asked to end: then this
    /// returns what it came to, without a failure, also where the box does not answer. Throws what is wrong with the box.
    func run(_ run: AgentRun, in box: any SandboxInstance) async throws -> AgentResult {
        let request = request
        let work = Task { try await serve(run, box) }
        let watchdog = request.cancels(work, after: timing.grace + timing.killLimit)
        defer { watchdog.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                request.make()
            }
        } catch {
            guard work.isCancelled else { throw error }
            var whole = total ?? AgentResult()
            whole.failure = nil
            whole.warnings.append("the agent did not end when it was asked to; it ended with its box")
            return whole
        }
    }

    private func serve(_ run: AgentRun, _ box: any SandboxInstance) async throws -> AgentResult {
        try await run.provision()
        let watching = Task { [output, timing] in await output.follow(box, every: timing.lookInterval) }
        do {
            var result = try await launches(of: run)
            watching.cancel()
            await watching.value
            await output.look(at: box, isLast: true)
            result.outputFile = await output.contents
            return result
        } catch {
            watching.cancel()
            await watching.value
            throw error
        }
    }

    private func launches(of run: AgentRun) async throws -> AgentResult {
        while true {
            began = .now
            let last = try await run.launch(until: request, grace: timing.grace) { [observe, stage] event in
                await observe(.agent(box: stage.box, event))
            }
            var whole = total ?? AgentResult()
            whole.take(last, usageCoversSession: false)
            total = whole
            if !request.isMade {
                guard !last.couldNotStart, let delay = await restart(failure: last.failure?.message) else {
                    return whole
                }
                guard try await request.wait(atMost: delay) else { continue }
            }
            // However it ended: it was asked to.
            whole.failure = nil
            return whole
        }
    }

    /// Whether an error says that the box is gone. One that never came up has other reasons than bad luck.
    func mayReplaceBox(after error: SandboxError) -> Bool {
        switch error.code {
        case .machineEnded:
            hadBox = true
            return true
        case .bootFailed: return hadBox
        default: return false
        }
    }

    /// Whether to go on in a fresh box after the one that the service had is gone. Waits as long as the rule says.
    func goesOn(after failure: RunFailure) async throws -> Bool {
        guard !request.isMade, let delay = await restart(failure: failure.message) else { return false }
        try await Task.sleep(for: delay)
        // How long a box takes to boot, or not to, says nothing about the agent.
        began = nil
        return true
    }

    private func restart(failure: String?) async -> Duration? {
        guard let delay = schedule.next(failed: failure != nil, lasted: began.map { .now - $0 } ?? .zero) else {
            return nil
        }
        let why = failure ?? "it ended"
        await observe(.stageRestarting(stage, restart: schedule.restarts, after: delay, why: why))
        return delay
    }
}
