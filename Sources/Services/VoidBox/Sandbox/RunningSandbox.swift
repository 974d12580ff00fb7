internal import HostSession
internal import Primitives
internal import Sandboxing

/// A box that is there. Calls may overlap freely; each throws ``VoidBoxError``, or `CancellationError` when its task is
/// cancelled.
public struct RunningSandbox: Sendable {
    let instance: any SandboxInstance
    /// From the start of its machine until its agent answered.
    public let bootDuration: Duration
    /// What its owner should know about it.
    public let warnings: [String]

    init(_ instance: any SandboxInstance, bootDuration: Duration) async throws {
        self.instance = instance
        self.bootDuration = bootDuration
        warnings = try await instance.health().warnings
    }

    public var name: String { instance.identity.name }
    /// What it runs on, such as "kvm".
    public var backend: String { instance.identity.backend.rawValue }
    /// False for ``BoxMode/mock``.
    public var isIsolated: Bool { instance.identity.isIsolated }

    /// How it is.
    public func health() async throws -> BoxHealth {
        try await call { instance in
            let health = try await instance.health()
            return BoxHealth(
                uptime: health.uptime,
                processors: health.processors,
                memory: health.memoryTotal.bytes,
                agentMemory: health.agentResident.bytes,
                runningPrograms: health.activeExecs,
                warnings: health.warnings,
            )
        }
    }

    /// Ends the box: politely for a while, then by force. Returns when nothing of it is left, also where that was so before.
    public func stop(within grace: Duration = .seconds(2)) async {
        await HostBox.stop(instance, grace: grace)
    }

    func call<Result: Sendable>(_ body: (any SandboxInstance) async throws -> Result) async throws -> Result {
        do {
            return try await body(instance)
        } catch {
            throw VoidBoxError.translating(await instance.explained(error))
        }
    }
}

/// What a box says of itself.
public struct BoxHealth: Hashable, Sendable {
    /// Since its kernel started.
    public let uptime: Duration
    public let processors: Int
    /// In bytes.
    public let memory: UInt64
    /// Of the guest agent, in bytes.
    public let agentMemory: UInt64
    public let runningPrograms: Int
    public let warnings: [String]
}
