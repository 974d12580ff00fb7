internal import LinuxSystem
internal import Primitives
internal import Sandboxing
internal import Spec

/// A step that goes on until nobody needs it any more.
struct ServiceRun: Sendable {
    /// How long it has to end by itself once it was asked to.
    private static let grace = Duration.seconds(10)
    private static let probeInterval = Duration.milliseconds(100)

    let runner: SpecRunner
    let step: WorkflowStepSpec
    let service: ServiceSpec
    let stage: StageName
    let box: any SandboxInstance
    /// Called once, when it is ready.
    let onReady: @Sendable () -> Void
    /// Ends when it is to stop.
    let stop: AsyncStream<Never>

    private enum Happening: Sendable {
        case ended(ExecExit)
        case failed(RunFailure)
        case ready
        case notReady
        case toStop
        case graceOver
        case cancelled
    }

    /// Runs it to its end. Never throws.
    func run() async -> StageReport {
        await runner.control.run(step.name) { await follow() }
    }

    private func follow() async -> StageReport {
        let start = ContinuousClock.now
        var report = await session()
        if report.durationMilliseconds == 0 {
            report.durationMilliseconds = (ContinuousClock.now - start).wholeMilliseconds
        }
        return report
    }

    private func session() async -> StageReport {
        await runner.observe(.stageStarted(stage, attempt: 1))
        let session: any ExecSession
        do {
            var request = ExecRequest([step.program] + step.args)
            request.environment.merge(runner.telemetry?.execBegan(stage, program: step.program) ?? [:]) { $1 }
            session = try await box.exec(request)
        } catch is CancellationError {
            return cancelled
        } catch {
            return StageReport(name: step.name, status: .failed, error: RunFailure(error).message)
        }
        let report = await supervise(session)
        await session.close()
        return report
    }

    private var cancelled: StageReport {
        let why = runner.control.cancellation(of: step.name) ?? "run cancelled"
        return StageReport(name: step.name, status: .cancelled, error: why)
    }

    private func supervise(_ session: any ExecSession) async -> StageReport {
        let start = ContinuousClock.now
        let (seen, wasSeen) = AsyncStream.makeStream(of: Void.self)
        return await withTaskGroup(of: Happening.self) { group in
            group.addTask { await output(of: session) { wasSeen.yield() } }
            group.addTask { await readiness(seen) }
            group.addTask {
                for await _ in stop {}
                return Task.isCancelled ? .cancelled : .toStop
            }
            var isReady = false
            var isStopping = false
            var problem: String?
            defer { group.cancelAll() }
            for await happening in group {
                switch happening {
                case .ended(let exit):
                    if problem == nil, !isStopping {
                        problem = exit.problem ?? (isReady ? nil : "it ended before it was ready")
                    }
                    return StageReport(step.name, exit, error: problem)
                case .failed(let failure):
                    return StageReport(name: step.name, status: .failed, error: problem ?? failure.message)
                case .ready:
                    isReady = true
                    await runner.observe(.stageReady(stage, after: .now - start))
                    onReady()
                case .notReady where !isStopping, .toStop where !isStopping:
                    if case .notReady = happening {
                        problem = "it was not ready within \(service.readyTimeoutSeconds) s"
                    }
                    isStopping = true
                    // One that has ended meanwhile says so by its exit.
                    try? await session.signal(Signal.terminate)
                    group.addTask {
                        (try? await Task.sleep(for: Self.grace)) == nil ? .cancelled : .graceOver
                    }
                case .graceOver: try? await session.signal(Signal.kill)
                case .cancelled where Task.isCancelled: return cancelled
                case .notReady, .toStop, .cancelled: continue
                }
            }
            return cancelled
        }
    }

    /// Tells its lines until it ends; calls `onText` at the one it is ready with.
    private func output(of session: any ExecSession, _ onText: @Sendable () -> Void) async -> Happening {
        var log = StepLog()
        do {
            while let event = try await session.nextEvent() {
                for (stream, line) in log.lines(of: event) {
                    await runner.observe(.stageOutput(stage, stream, line))
                    if case .log(let text) = service.readiness, line.contains(text) { onText() }
                }
                if case .exited(let exit) = event {
                    runner.telemetry?.execEnded(stage, program: step.program, .success(exit))
                    if log.droppedBytes > 0 {
                        await runner.observe(.stageOutputClosed(stage, droppedBytes: log.droppedBytes))
                    }
                    return .ended(exit)
                }
            }
            return .failed(RunFailure(.run, "the program ended without a status"))
        } catch is CancellationError {
            return .cancelled
        } catch {
            return .failed(RunFailure(error))
        }
    }

    // MARK: Readiness

    private func readiness(_ seen: AsyncStream<Void>) async -> Happening {
        await withTaskGroup(of: Happening.self) { group in
            group.addTask { await probe(seen) }
            group.addTask {
                (try? await Task.sleep(for: .seconds(service.readyTimeoutSeconds))) == nil ? .cancelled : .notReady
            }
            defer { group.cancelAll() }
            return await group.next() ?? .cancelled
        }
    }

    private func probe(_ seen: AsyncStream<Void>) async -> Happening {
        switch service.readiness {
        case .started: return .ready
        case .log:
            for await _ in seen { return .ready }
            return .cancelled
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
            guard (try? await Task.sleep(for: Self.probeInterval)) != nil else { return .cancelled }
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
