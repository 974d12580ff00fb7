internal import FoundationEssentials
internal import Runs

/// What runs are given of this host.
struct Host: Sendable {
    var environment = ProcessInfo.processInfo.environment
    /// Nil for the backends of this host.
    var makeBackend: SpecRunner.BackendFactory?

    /// Tests have others.
    @TaskLocal static var current = Host()
}
