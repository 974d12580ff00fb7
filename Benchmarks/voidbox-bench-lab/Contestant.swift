import BenchmarkSupport
import Foundation
import LinuxSystem
import Sandboxing

/// One of the two sides: a backend, and its process on this host.
struct Contestant {
    let name: String
    let backend: any SandboxBackend
    /// The program that runs the machine.
    let program: String

    /// Boots a box and tells how long it took until its agent answered.
    func boot(_ configuration: SandboxConfiguration) async throws -> (box: any SandboxInstance, time: Double) {
        let start = ContinuousClock.now
        let box = try await backend.boot(configuration)
        return (box, (ContinuousClock.now - start).milliseconds)
    }

    /// The process of the one machine that runs.
    func process() throws -> Int32 {
        let tag = "voidbox-box-\(HostFacts.processID)-"
        let found = HostFacts.processes().filter { pid in
            let line = HostFacts.text(of: "/proc/\(pid)/cmdline") ?? ""
            return line.contains(tag) && line.split(separator: "\0").first?.hasSuffix(program) == true
        }
        guard let pid = found.first, found.count == 1 else {
            throw SandboxError(.notFound, resource: program, "\(found.count) processes run a machine, not one")
        }
        return pid
    }
}

/// A program's output that is a number, or an error with all it said.
extension SandboxInstance {
    func shell(_ script: String, user: String = "root") async throws -> ExecResult {
        var request = ExecRequest(["sh", "-ec", script])
        request.user = user
        let result = try await run(request)
        guard result.exit.status == .code(0) else {
            throw SandboxError(
                .machineEnded,
                resource: script,
                String(decoding: result.stdout + result.stderr, as: UTF8.self),
            )
        }
        return result
    }

    /// Milliseconds that the script took by the guest's own clock.
    func time(_ script: String) async throws -> Double {
        let result = try await shell("start=$(date +%s%N); \(script) > /dev/null; echo $(($(date +%s%N) - start))")
        let text = String(decoding: result.stdout, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard let nanoseconds = Double(text) else {
            throw SandboxError(.machineEnded, resource: script, "it said \(text)")
        }
        return nanoseconds / 1e6
    }
}
