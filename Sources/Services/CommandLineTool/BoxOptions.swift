internal import ArgumentParser
internal import Foundation
internal import HostSession
internal import Runs
internal import Sandboxing
internal import Spec

/// Options of the commands that start a box of their own.
struct BoxOptions: ParsableArguments {
    @OptionGroup var global: GlobalOptions

    @Option(name: .shortAndLong, help: "Take the box from this specification's sandbox section.", completion: .file())
    var file: String?

    @Option(help: "How to run the box: auto, kvm, qemu or mock (no isolation).")
    var mode: SandboxSpec.Mode?

    @Option(name: .customLong("memory-mb"), help: "Memory of the box in MiB (default 1024).")
    var memoryMB: Int?

    @Option(help: "Processors of the box (default 1).")
    var vcpus: Int?

    @Flag(help: "Give the box a network.")
    var network = false

    @Option(help: "A variable of the guest program, NAME=VALUE; NAME alone copies the host's. May be repeated.")
    var env: [String] = []

    @Option(help: "A host directory in the box, HOST:GUEST or HOST:GUEST:rw. May be repeated.")
    var mount: [String] = []

    @Option(help: "Mount an agent's disk: claude-code or claudio.")
    var agent: AgentName?

    @Option(name: .customLong("workdir"), help: "Directory that the program starts in (default /workspace).")
    var workingDirectory: String?

    @Option(help: "User that the program runs as (default sandbox).")
    var user: String?

    func validate() throws {
        if let memoryMB, !(128...1_048_576).contains(memoryMB) {
            throw ValidationError("--memory-mb must be 128 to 1048576")
        }
        if let vcpus, !(1...16).contains(vcpus) { throw ValidationError("--vcpus must be 1 to 16") }
        _ = try mounts()
    }

    private func mounts() throws -> [MountSpec] {
        try mount.map { text in
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            let mode = parts.count == 3 ? MountSpec.Mode(rawValue: parts[2]) : .ro
            guard (2...3).contains(parts.count), let mode, !parts[0].isEmpty else {
                throw ValidationError("--mount \(text): expected HOST:GUEST[:ro|rw] with an absolute guest path")
            }
            do throws(GuestMountPoint.Violation) {
                return MountSpec(host: parts[0], guest: try GuestMountPoint(parts[1]).path, mode: mode)
            } catch {
                throw ValidationError("--mount \(text): the guest path \(error)")
            }
        }
    }

    private func variables() -> [String: String] {
        env.reduce(into: [:]) { result, text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            result[parts[0]] = parts.count == 2 ? parts[1] : ""
        }
    }

    /// The file's specification, or a box with all defaults, with these options applied.
    func spec() throws -> Spec {
        var spec = Spec(name: "box")
        if let file { spec = try Spec.load(file: file) }
        if let mode { spec.sandbox.mode = mode }
        if let memoryMB { spec.sandbox.memoryMB = memoryMB }
        if let vcpus { spec.sandbox.vcpus = vcpus }
        if network { spec.sandbox.network = true }
        spec.sandbox.env.merge(variables()) { $1 }
        spec.sandbox.mounts += try mounts()
        return spec
    }

    /// Boots the box, hands it to `body`, and stops it, also on Ctrl-C.
    ///
    /// - Parameter known: What `spec` has returned to who needed it before.
    func withBox<Result: Sendable>(
        of known: Spec? = nil,
        _ body: @escaping @Sendable (any SandboxInstance) async throws -> Result
    ) async throws -> Result {
        let environment = ProcessInfo.processInfo.environment
        do {
            let spec = try known ?? spec()
            let base = file ?? FileManager.default.currentDirectoryPath + "/-"
            let host = try HostBox(of: spec, file: base, agent: agent, environment: environment)
            if spec.sandbox.mode == .mock {
                Console.error("warning: mode mock runs no machine: nothing is isolated, this proves nothing")
            }
            for warning in host.warnings { Console.error("warning: \(warning)") }
            let (result, wasInterrupted) = try await interruptible {
                try await host.run { box in
                    for warning in try await box.health().warnings { Console.error("warning: guest: \(warning)") }
                    return try await body(box)
                }
            }
            if wasInterrupted { throw RunFailure(.interrupted, "interrupted; the box was stopped") }
            return try result.get()
        } catch let error as StandardOutputError {
            throw error
        } catch {
            _ = Console.report(RunFailure(error), as: global.output)
            throw ExitStatus(ofProgram: error)
        }
    }

    func request(_ argv: [String]) -> ExecRequest {
        var request = ExecRequest(argv)
        if let workingDirectory { request.workingDirectory = workingDirectory }
        if let user { request.user = user }
        return request
    }
}

extension AgentName: ExpressibleByArgument {}
