package import Sandboxing

/// Scripted boxes in memory. No isolation and no effect on the host: for users who ask for `--mode mock`, and for faults
/// that cannot be made otherwise. A program that the mock does not know is an error, never a silent success.
package struct MockBackend: SandboxBackend {
    package let name = BackendName.mock
    private let programs: [String: MockProgram]
    /// Directories of the host that boxes of this backend share: each one's files, in memory.
    private let shares = MockShares()

    /// - Parameter programs: By base name; they are looked up before the built-in ones.
    package init(programs: [String: MockProgram] = [:]) {
        self.programs = MockProgram.builtIn.merging(programs) { _, added in added }
    }

    package func boot(_ configuration: SandboxConfiguration) async throws -> any SandboxInstance {
        try Task.checkCancellation()
        try configuration.checkHasNoVsock(name)
        return MockSandbox(configuration, programs: programs, shares: shares)
    }
}

/// A program of a mock box: gets its arguments and streams and returns its exit status.
package struct MockProgram: Sendable {
    package typealias Body = @Sendable (MockProcess) async throws -> ExecExit.Status

    let body: Body

    package init(_ body: @escaping Body) {
        self.body = body
    }
}

/// What a mock program sees of its world.
package struct MockProcess: Sendable {
    package let arguments: [String]
    package let environment: [String: String]
    package let workingDirectory: String
    package let files: MockFiles
    package let tunnels: MockTunnels
    let input: MockChannel<[UInt8]>
    let events: MockChannel<ExecEvent>

    /// Nil at the end of stdin.
    package func read() async throws -> [UInt8]? { try await input.next() }
    package func write(_ bytes: [UInt8]) async throws { try await events.put(.stdout(bytes)) }
    package func write(_ text: String) async throws { try await write(Array(text.utf8)) }
    package func writeError(_ text: String) async throws { try await events.put(.stderr(Array(text.utf8))) }
}
