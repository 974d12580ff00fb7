internal import LinuxSystem
internal import Primitives
internal import Sandboxing
internal import Spec

/// A step that goes on until nobody needs it any more.
struct ServiceRun: Sendable {
    private static let probeInterval = Duration.milliseconds(100)

    let runner: SpecRunner
    let step: WorkflowStepSpec
    let service: ServiceSpec
    let stage: StageName
    let box: any SandboxInstance
    /// Called once, when it is ready.
    let onReady: @Sendable () -> Void
    /// Made when nobody needs it any more; by itself, too, when the step is cancelled.
    let stop: StopRequest

    private enum Happening: Sendable {
        case ended(ExecExit, StepLog)
        case failed(any Error, StepLog)
        case ready
        case notReady
        case toStop
        case nothing
    }

    /// One start of its program.
    private struct Launch {
        var report: StageReport
        /// One for all launches, so that its limit is of the step.
        var log: StepLog
        var wasReady = false
        /// False where another start would come to the same.
        var mayRestart = true
    }

    /// Runs it to its end. Never throws.
    func run() async -> StageReport {
        await runner.control.run(step.name) {
            // In a task of its own: one that is cancelled is still asked to end before it is made to.
            let work = Task { await launches() }
            let watchdog = stop.cancels(work, after: runner.serviceTiming.grace + runner.serviceTiming.killLimit)
            defer { watchdog.cancel() }
            var report = await withTaskCancellationHandler {
                await work.value
            } onCancel: {
                stop.make()
            }
            if Task.isCancelled {
                report.status = .cancelled
                report.error = runner.control.cancellation(of: step.name) ?? "run cancelled"
            }
            return report
        }
    }

    private func launches() async -> StageReport {
        let start = ContinuousClock.now
        var schedule = RestartSchedule(service.restart, settled: runner.serviceTiming.settled)
        var wasReady = false
        var last: Launch
        var log = StepLog()
        var delay: Duration?
        guard !stop.isMade else { return failed("it was not started") }
        repeat {
            let began = ContinuousClock.now
            last = await launch(attempt: schedule.restarts + 1, log, tellsReady: !wasReady)
            log = last.log
            wasReady = wasReady || last.wasReady
            delay = nil
            guard !stop.isMade, last.mayRestart else { break }
            let failed = last.report.status != .succeeded
            delay = schedule.next(failed: failed, lasted: .now - began)
            if let delay {
                let why = last.report.error ?? "it ended"
                await runner.observe(.stageRestarting(stage, restart: schedule.restarts, after: delay, why: why))
                if (try? await stop.wait(atMost: delay)) != false { break }
            }
        } while delay != nil
        if log.droppedBytes > 0 {
            await runner.observe(.stageOutputClosed(stage, droppedBytes: log.droppedBytes))
        }
        var report = last.report
        if schedule.restarts > 0 || report.durationMilliseconds == 0 {
            report.durationMilliseconds = (ContinuousClock.now - start).wholeMilliseconds
        }
        if service.restart.policy != .never { report.restarts = schedule.restarts }
        return report
    }

    private func launch(attempt: Int, _ log: StepLog, tellsReady: Bool) async -> Launch {
        await runner.observe(.stageStarted(stage, attempt: attempt))
        let session: any ExecSession
        do {
            var request = ExecRequest([step.program] + step.args)
            request.environment = runner.stepEnvironment
            request.environment.merge(runner.telemetry?.execBegan(stage, program: step.program) ?? [:]) { $1 }
            session = try await box.exec(request)
        } catch {
            return Launch(report: failed(error), log: log, mayRestart: false)
        }
        let launch = await supervise(session, log, tellsReady: tellsReady)
        await session.close()
        return launch
    }

    private func failed(_ error: any Error) -> StageReport {
        // Only what was asked to end is ever cancelled.
        failed(Task.isCancelled ? "it did not end when it was asked to" : RunFailure(error).message)
    }

    private func failed(_ why: String) -> StageReport {
        StageReport(name: step.name, status: .failed, error: why)
    }

    private func supervise(_ session: any ExecSession, _ log: StepLog, tellsReady: Bool) async -> Launch {
        let start = ContinuousClock.now
        let (seen, wasSeen) = AsyncStream.makeStream(of: Void.self)
        let end = StopRequest()
        return await withTaskGroup(of: Happening.self) { group in
            group.addTask { await output(of: session, log, until: end) { wasSeen.yield() } }
            group.addTask { await readiness(seen) }
            group.addTask { (try? await stop.wait()) == nil ? .nothing : .toStop }
            var isReady = false
            var problem: String?
            defer { group.cancelAll() }
            for await happening in group {
                switch happening {
                case .ended(let exit, let log):
                    if problem == nil, !end.isMade {
                        problem = exit.problem ?? (isReady ? nil : "it ended before it was ready")
                    }
                    return Launch(report: StageReport(step.name, exit, error: problem), log: log, wasReady: isReady)
                case .failed(let error, let log):
                    return Launch(report: failed(error), log: log, wasReady: isReady, mayRestart: false)
                case .ready:
                    isReady = true
                    guard tellsReady else { continue }
                    await runner.observe(.stageReady(stage, after: .now - start))
                    onReady()
                case .notReady where !end.isMade:
                    problem = "it was not ready within \(service.readyTimeoutSeconds) s"
                    end.make()
                case .toStop: end.make()
                case .notReady, .nothing: continue
                }
            }
            return Launch(report: failed("the program ended without a status"), log: log)
        }
    }

    /// Tells its lines until it ends; calls `onText` at the one it is ready with.
    private func output(
        of session: any ExecSession,
        _ log: StepLog,
        until end: StopRequest,
        _ onText: @Sendable () -> Void,
    ) async -> Happening {
        var log = log
        do {
            return try await session.ending(on: end, grace: runner.serviceTiming.grace) {
                while let event = try await session.nextEvent() {
                    for (stream, line) in log.lines(of: event) {
                        await runner.observe(.stageOutput(stage, stream, line))
                        if case .log(let text) = service.readiness, line.contains(text) { onText() }
                    }
                    guard case .exited(let exit) = event else { continue }
                    runner.telemetry?.execEnded(stage, program: step.program, .success(exit))
                    return .ended(exit, log)
                }
                return .failed(RunFailure(.run, "the program ended without a status"), log)
            }
        } catch {
            runner.telemetry?.execEnded(stage, program: step.program, .failure(error))
            return .failed(error, log)
        }
    }

    // MARK: Readiness

    private func readiness(_ seen: AsyncStream<Void>) async -> Happening {
        await withTaskGroup(of: Happening.self) { group in
            group.addTask { await probe(seen) }
            group.addTask {
                (try? await Task.sleep(for: .seconds(service.readyTimeoutSeconds))) == nil ? .nothing : .notReady
            }
            defer { group.cancelAll() }
            return await group.next() ?? .nothing
        }
    }

    private func probe(_ seen: AsyncStream<Void>) async -> Happening {
        switch service.readiness {
        case .started: return .ready
        case .log:
            for await _ in seen { return .ready }
            return .nothing
        case .file(let path): return await poll { (try? await box.stat(path, followLinks: true)) != nil }
        case .port(let port):
            return await poll {
                // Not /proc/net, which is a link: files are read without following any.
                for table in ["/proc/1/net/tcp", "/proc/1/net/tcp6"] {
                    // A box without IPv6 has no second table.
                    guard let bytes = try? await box.readFile(table, limit: 16 << 20) else { continue }
                    if ListeningPorts(String(decoding: bytes, as: UTF8.self)).ports.contains(port) { return true }
                }
                return false
            }
        }
    }

    private func poll(_ condition: () async -> Bool) async -> Happening {
        while await !condition() {
            guard (try? await Task.sleep(for: Self.probeInterval)) != nil else { return .nothing }
        }
        return .ready
    }
}

/// The ports that a `/proc/net/tcp` says are listened to; see `proc_net_tcp.rst` of the kernel's documentation.
struct ListeningPorts {
    let ports: Set<UInt16>

    init(_ table: String) {
        ports = Set(
            table.split(separator: "\n").dropFirst().compactMap { line in
                let fields = line.split(separator: " ")
                // sl, local_address, rem_address, st; 0A is TCP_LISTEN.
                guard fields.count > 3, fields[3] == "0A", let colon = fields[1].lastIndex(of: ":") else { return nil }
                return UInt16(fields[1][fields[1].index(after: colon)...], radix: 16)
            }
        )
    }
}
