internal import Sandboxing

/// A box that can do nothing but listen.
protocol OnlyListens: SandboxInstance {}

struct NoSuchCall: Error {}

extension OnlyListens {
    func health() async throws -> GuestHealth { throw NoSuchCall() }
    func exec(_ request: ExecRequest) async throws -> any ExecSession { throw NoSuchCall() }
    func attach(to id: String) async throws -> any ExecSession { throw NoSuchCall() }
    func listExecs() async throws -> [ExecInfo] { throw NoSuchCall() }
    func signalExec(_ id: String, _ signal: Int32) async throws { throw NoSuchCall() }
    func readFile(_ path: String, consume: (borrowing [UInt8]) async throws -> Void) async throws { throw NoSuchCall() }
    func writeFile(_ path: String, options: WriteOptions, produce: () async throws -> [UInt8]?) async throws {
        throw NoSuchCall()
    }
    func stat(_ path: String, followLinks: Bool) async throws -> FileInfo { throw NoSuchCall() }
    func listDirectory(_ path: String) async throws -> [FileInfo] { throw NoSuchCall() }
    func makeDirectory(_ path: String, parents: Bool) async throws { throw NoSuchCall() }
    func remove(_ path: String, recursive: Bool) async throws { throw NoSuchCall() }
    func rename(_ from: String, to: String) async throws { throw NoSuchCall() }
    func telemetry(every interval: Duration) async throws -> AsyncThrowingStream<TelemetrySample, any Error> {
        throw NoSuchCall()
    }
    func waitUntilEnded() async -> SandboxExit { .stopped }
    func stop(grace: Duration) async {}
}
