internal import Primitives
internal import Sandboxing
internal import Synchronization

/// A mock program that runs in a task of its own.
final class MockExecSession: ExecSession {
    let id: String
    private let input = MockChannel<[UInt8]>()
    private let events = MockChannel<ExecEvent>()
    /// The signal that ended the program from outside, if one did. Guarded by the mutex.
    private let fate = Mutex(Fate())
    private let task: Mutex<Task<Void, Never>?>

    private struct Fate {
        var signal: Int32?
        var timedOut = false
    }

    init(
        id: String,
        program: MockProgram,
        request: ExecRequest,
        environment: [String: String],
        files: MockFiles,
        tunnels: MockTunnels,
    ) {
        self.id = id
        task = Mutex(nil)
        let process = MockProcess(
            arguments: request.argv,
            environment: environment,
            workingDirectory: request.workingDirectory,
            files: files,
            tunnels: tunnels,
            input: input,
            events: events,
        )
        if !request.keepsInputOpen, request.terminal == nil { input.close() }
        let running = Task { [weak self, events] in
            let start = ContinuousClock.now
            let status: ExecExit.Status
            do {
                status = try await program.body(process)
            } catch is CancellationError {
                status = .signal(self?.fate.withLock { $0.signal } ?? 9)
            } catch {
                try? await events.put(.stderr(Array("mock: \(error)\n".utf8)))
                status = .code(1)
            }
            process.input.close()
            let timedOut = self?.fate.withLock { $0.timedOut } ?? false
            events.finish(with: .exited(ExecExit(status: status, timedOut: timedOut, duration: .now - start)))
        }
        task.withLock { $0 = running }
        if let timeout = request.timeout { kill(running, after: timeout) }
    }

    deinit {
        task.withLock { $0 }?.cancel()
    }

    private func kill(_ running: Task<Void, Never>, after timeout: Duration) {
        Task { [weak self] in
            await withTaskGroup(of: Bool.self) { group in
                group.addTask {
                    await running.value
                    return false
                }
                group.addTask { (try? await Task.sleep(for: timeout)) != nil }
                if await group.next() == true {
                    self?.fate.withLock { $0 = Fate(signal: 9, timedOut: true) }
                    running.cancel()
                }
                group.cancelAll()
            }
        }
    }

    func nextEvent() async throws -> ExecEvent? {
        try await events.next()
    }

    func write(_ bytes: [UInt8]) async throws {
        for start in stride(from: 0, to: bytes.count, by: StreamLimit.message) {
            guard !input.isClosed else {
                throw SandboxError(.inputClosed, resource: "exec \(id)", "the program does not read its stdin any more")
            }
            try await input.put(Array(bytes[start..<min(start + StreamLimit.message, bytes.count)]))
        }
    }

    func closeInput() async throws {
        input.close()
    }

    func resize(_ size: TerminalSize) async throws {}

    func signal(_ signal: Int32) async throws {
        fate.withLock { $0.signal = $0.signal ?? signal }
        task.withLock { $0 }?.cancel()
    }

    func detach() async throws {
        throw SandboxError(.unsupported, resource: "exec \(id)", "the mock backend has no detached programs")
    }

    func close() async {
        let running = task.withLock { $0.take() }
        running?.cancel()
        input.close()
        events.close()
        await running?.value
    }
}
