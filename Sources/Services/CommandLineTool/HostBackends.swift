internal import SandboxKVM
internal import SandboxMock
internal import SandboxQEMU
internal import Sandboxing

/// The backends that this program is linked with.
enum HostBackends {
    static func make(_ name: BackendName, environment: [String: String]) throws -> any SandboxBackend {
        switch name {
        case .qemu: return try QEMUBackend(environment: environment)
        case .mock: return MockBackend()
        case .kvm: return try KVMBackend(environment: environment)
        }
    }
}
