internal import Primitives
internal import Sandboxing
internal import Synchronization

/// A mock box. Any thread; guarded by `state`.
final class MockSandbox: SandboxInstance {
    let identity: SandboxIdentity
    private let configuration: SandboxConfiguration
    private let programs: [String: MockProgram]
    private let files: MockFiles
    private let tunnels = MockTunnels()
    private let ended = OneShot<SandboxExit>()
    private let state = Mutex(State())

    private struct State {
        var nextExec = 1
        var sessions: [any ExecSession] = []
        var isStopped = false
    }

    init(_ configuration: SandboxConfiguration, programs: [String: MockProgram], shares: MockShares) {
        files = MockFiles(
            directories: ["/workspace", "/tmp"],
            shares: configuration.shares.map { ($0.guestPath, shares.files(of: $0.hostPath)) },
        )
        self.configuration = configuration
        self.programs = programs
        identity = SandboxIdentity(name: configuration.name, backend: .mock)
    }

    func health() async throws -> GuestHealth {
        try checkRunning()
        return GuestHealth(
            agentVersion: "mock",
            uptime: .zero,
            agentResident: ByteCount(bytes: 0),
            activeExecs: 0,
            processors: configuration.vcpus,
            memoryTotal: configuration.memory,
            warnings: [],
        )
    }

    func exec(_ request: ExecRequest) async throws -> any ExecSession {
        try checkRunning()
        guard let path = request.argv.first, let name = path.split(separator: "/").last.map(String.init) else {
            throw SandboxError(.invalidArgument, resource: "exec", "there is no program to run")
        }
        if case .only(let allowed) = configuration.policy.programs, !allowed.contains(name) {
            throw SandboxError(.programNotAllowed, resource: name, "\(name) is not in the list of allowed programs")
        }
        guard let program = programs[name] else {
            throw SandboxError(
                .cannotStart,
                resource: name,
                "the mock backend has no program \(name)",
                hint: "run it in a real box (--mode auto)",
            )
        }
        let id = state.withLock { state in
            defer { state.nextExec += 1 }
            return "mock-\(state.nextExec)"
        }
        let session = MockExecSession(
            id: id,
            program: program,
            request: request,
            environment: configuration.environment.merging(request.environment) { $1 },
            files: files,
            tunnels: tunnels,
        )
        state.withLock { $0.sessions.append(session) }
        return session
    }

    func attach(to id: String) async throws -> any ExecSession { throw Self.unsupported("exec \(id)") }
    func listExecs() async throws -> [ExecInfo] { throw Self.unsupported("exec list") }
    func signalExec(_ id: String, _ signal: Int32) async throws { throw Self.unsupported("exec \(id)") }

    func readFile(_ path: String, consume: (borrowing [UInt8]) async throws -> Void) async throws {
        try checkRunning()
        try await consume(try files.read(path))
    }

    func writeFile(_ path: String, options: WriteOptions, produce: () async throws -> [UInt8]?) async throws {
        try checkRunning()
        var contents: [UInt8] = []
        while let piece = try await produce() { contents += piece }
        files.write(contents, to: path, mode: options.mode)
    }

    func stat(_ path: String, followLinks: Bool) async throws -> FileInfo { try files.stat(path) }
    func listDirectory(_ path: String) async throws -> [FileInfo] { try files.list(path) }

    func makeDirectory(_ path: String, parents: Bool) async throws {
        try files.makeDirectory(path, parents: parents)
    }

    func remove(_ path: String, recursive: Bool) async throws { try files.remove(path, recursive: recursive) }
    func rename(_ from: String, to: String) async throws { try files.rename(from, to: to) }
    func listen(port: UInt16) async throws -> any TunnelListener { try tunnels.listen(port) }

    func telemetry(every interval: Duration) async throws -> AsyncThrowingStream<TelemetrySample, any Error> {
        throw Self.unsupported("telemetry")
    }

    func waitUntilEnded() async throws -> SandboxExit {
        try await ended.wait()
    }

    func stop(grace: Duration) async {
        let sessions = state.withLock { state in
            state.isStopped = true
            defer { state.sessions = [] }
            return state.sessions
        }
        ended.fulfil(.stopped)
        tunnels.close()
        for session in sessions { await session.close() }
    }

    private func checkRunning() throws {
        if state.withLock({ $0.isStopped }) {
            throw SandboxError(.machineEnded, resource: "box \"\(identity.name)\"", "the box was stopped")
        }
    }

    private static func unsupported(_ resource: String) -> SandboxError {
        SandboxError(.unsupported, resource: resource, "the mock backend does not have this")
    }
}
