internal import LinuxSystem
internal import Sandboxing

/// The program of a worker.
enum WorkerProgram {
    static let name = "voidbox-vmm"

    /// Its path: `VOIDBOX_VMM`, else beside this program, else the first of that name in `PATH`.
    static func locate(environment: [String: String]) throws(SandboxError) -> String {
        if let path = environment["VOIDBOX_VMM"], !path.isEmpty {
            if HostFacts.mayExecute(path) { return path }
            throw SandboxError(.hostUnsupported, resource: path, "VOIDBOX_VMM names a file that cannot be executed")
        }
        let directories =
            [HostFacts.programDirectory].compactMap(\.self)
            + (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map(String.init)
        for directory in directories where HostFacts.mayExecute("\(directory)/\(name)") {
            return "\(directory)/\(name)"
        }
        throw SandboxError(
            .hostUnsupported,
            resource: name,
            "it is neither beside voidbox nor in PATH",
            hint: "build it (swift build --product voidbox-vmm), or name it in VOIDBOX_VMM",
        )
    }
}
