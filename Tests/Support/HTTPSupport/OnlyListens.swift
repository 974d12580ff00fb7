package import Sandboxing

/// A box that can do nothing but listen.
package protocol OnlyListens: SandboxInstance {}

package struct NoSuchCall: Error {}

extension OnlyListens {
    package func health() async throws -> GuestHealth { throw NoSuchCall() }
    package func exec(_ request: ExecRequest) async throws -> any ExecSession { throw NoSuchCall() }
    package func attach(to id: String) async throws -> any ExecSession { throw NoSuchCall() }
    package func listExecs() async throws -> [ExecInfo] { throw NoSuchCall() }
    package func signalExec(_ id: String, _ signal: Int32) async throws { throw NoSuchCall() }
    package func readFile(_ path: String, consume: (borrowing [UInt8]) async throws -> Void) async throws {
        throw NoSuchCall()
    }
    package func writeFile(_ path: String, options: WriteOptions, produce: () async throws -> [UInt8]?) async throws {
        throw NoSuchCall()
    }
    package func stat(_ path: String, followLinks: Bool) async throws -> FileInfo { throw NoSuchCall() }
    package func listDirectory(_ path: String) async throws -> [FileInfo] { throw NoSuchCall() }
    package func makeDirectory(_ path: String, parents: Bool) async throws { throw NoSuchCall() }
    package func remove(_ path: String, recursive: Bool) async throws { throw NoSuchCall() }
    package func rename(_ from: String, to: String) async throws { throw NoSuchCall() }
    package func telemetry(every interval: Duration) async throws -> AsyncThrowingStream<TelemetrySample, any Error> {
        throw NoSuchCall()
    }
    package func waitUntilEnded() async -> SandboxExit { .stopped }
    package func stop(grace: Duration) async {}
}
