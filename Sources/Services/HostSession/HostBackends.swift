internal import SandboxKVM
internal import SandboxMock
internal import SandboxQEMU
package import Sandboxing

/// The backends that programs of this host are linked with.
package enum HostBackends {
    package static func make(_ name: BackendName, environment: [String: String]) throws -> any SandboxBackend {
        switch name {
        case .qemu: return try QEMUBackend(environment: environment)
        case .mock: return MockBackend()
        case .kvm: return try KVMBackend(environment: environment)
        }
    }
}
