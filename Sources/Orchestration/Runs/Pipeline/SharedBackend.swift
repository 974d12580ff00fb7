internal import Sandboxing
internal import Synchronization

/// Makes each backend once, for all boxes of a run. Any thread; guarded by `made`.
final class SharedBackend: Sendable {
    private let make: SpecRunner.BackendFactory
    private let made = Mutex<[BackendName: any SandboxBackend]>([:])

    init(_ make: @escaping SpecRunner.BackendFactory) {
        self.make = make
    }

    func backend(_ name: BackendName) throws -> any SandboxBackend {
        try made.withLock { made in
            if let backend = made[name] { return backend }
            let backend = try make(name)
            made[name] = backend
            return backend
        }
    }
}
