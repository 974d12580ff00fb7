internal import LinuxSystem
internal import Primitives
package import Runs
package import Sandboxing
package import Spec

/// A box that is not a run's: somebody talks to it as long as they like.
package struct HostBox: Sendable {
    /// What its owner should know about it.
    package let warnings: [String]
    private let backend: any SandboxBackend
    private let configuration: SandboxConfiguration

    /// - Parameters:
    ///   - file: What the specification's paths are relative to.
    ///   - agent: The agent whose disk the box carries; nil for none.
    package init(
        of spec: Spec,
        file: String,
        agent: AgentName? = nil,
        environment: [String: String],
        makeBackend: SpecRunner.BackendFactory? = nil,
    ) throws {
        let name = spec.sandbox.backend(on: .thisHost)
        let (configuration, warnings) = try BoxBuilder(environment: environment, file: file).configuration(
            name: spec.name,
            sandbox: spec.sandbox,
            agent: agent,
            backend: name,
        )
        self.configuration = configuration
        self.warnings = warnings + [spec.sandbox.memoryWarning].compactMap(\.self)
        backend = try makeBackend?(name) ?? HostBackends.make(name, environment: environment)
    }

    package func boot() async throws -> any SandboxInstance {
        try await backend.boot(configuration)
    }

    /// Boots the box, hands it to `body` and stops it whatever happens, also when the task is cancelled.
    package func run<Result: Sendable>(
        _ body: (any SandboxInstance) async throws -> Result
    ) async throws -> Result {
        let box = try await boot()
        do {
            let result = try await body(box)
            await Self.stop(box)
            return result
        } catch {
            let explained = await box.explained(error)
            await Self.stop(box)
            throw explained
        }
    }

    /// In a task of its own: the cancellation that ends the work must not end the cleaning up.
    package static func stop(_ box: any SandboxInstance, grace: Duration = .seconds(2)) async {
        await Task { await box.stop(grace: grace) }.value
    }
}

extension SandboxSpec {
    /// What to know about the memory of this box on this host.
    package var memoryWarning: String? {
        guard mode != .mock, let megabytes = UInt64(exactly: memoryMB) else { return nil }
        return HostMemory.thisHost?.warning(for: .mebibytes(megabytes))
    }
}
