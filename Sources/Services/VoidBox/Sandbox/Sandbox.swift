internal import HostSession
internal import Primitives
internal import Sandboxing
internal import Spec

/// A box of one's own, without an agent: programs, files and terminals, as long as somebody needs it.
///
/// ```swift
/// let answer = try await Sandbox("bench").memory(.mebibytes(512)).run { box in
///     try await box.writeFile("/workspace/sum.py", "print(6 * 7)")
///     return try await box.exec("python3", "sum.py").output
/// }
/// ```
public struct Sandbox: BoxConfigurable, Hashable {
    public let name: String
    public var box = BoxSettings()

    public init(_ name: String = "box") {
        self.name = name
    }

    public var specification: Specification {
        var document = Document()
        document.text("kind", "sandbox")
        document.text("name", name)
        document.map("sandbox", box.document)
        return Specification(document.value, of: "Sandbox \"\(name)\"")
    }

    /// Boots the box, hands it to `body`, and stops it whatever happens, also when the task is cancelled.
    ///
    /// Throws ``VoidBoxError`` for a box that cannot be made, and what `body` throws.
    public func run<Result: Sendable>(_ body: (RunningSandbox) async throws -> Result) async throws -> Result {
        do {
            let start = ContinuousClock.now
            return try await hostBox().run { instance in
                try await body(try await RunningSandbox(instance, bootDuration: .now - start))
            }
        } catch {
            throw VoidBoxError.translating(error)
        }
    }

    /// Boots the box and leaves it to the caller, who must ``RunningSandbox/stop(within:)`` it; it ends with this process in any
    /// case. Prefer ``run(_:)``, which forgets nothing.
    public func start() async throws -> RunningSandbox {
        do {
            let start = ContinuousClock.now
            let instance = try await hostBox().boot()
            do {
                return try await RunningSandbox(instance, bootDuration: .now - start)
            } catch {
                await HostBox.stop(instance)
                throw error
            }
        } catch {
            throw VoidBoxError.translating(error)
        }
    }

    private func hostBox() throws -> HostBox {
        let host = Host.current
        return try HostBox(
            of: try specification.spec(environment: host.environment),
            file: specification.label,
            environment: host.environment,
            makeBackend: host.makeBackend,
        )
    }
}

/// Boots a box with all defaults, hands it to `body`, and stops it whatever happens.
public func withSandbox<Result: Sendable>(
    _ sandbox: Sandbox = Sandbox(),
    _ body: (RunningSandbox) async throws -> Result,
) async throws -> Result {
    try await sandbox.run(body)
}
