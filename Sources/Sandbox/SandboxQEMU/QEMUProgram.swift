internal import LinuxSystem
package import Sandboxing

/// QEMU on this host.
package enum QEMUProgram {
    static let name = "qemu-system-x86_64"
    static let hint = "VOIDBOX_QEMU names the program; unset, it is the first \(name) in PATH"

    /// Its path: `VOIDBOX_QEMU`, else the first of that name in `PATH`. Throws `hostUnsupported` where there is none.
    package static func locate(environment: [String: String]) throws(SandboxError) -> String {
        if let path = environment["VOIDBOX_QEMU"], !path.isEmpty {
            if HostFacts.mayExecute(path) { return path }
            throw SandboxError(.hostUnsupported, resource: path, "VOIDBOX_QEMU names a file that cannot be executed")
        }
        let directories = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
        for directory in directories where HostFacts.mayExecute("\(directory)/\(name)") {
            return "\(directory)/\(name)"
        }
        throw SandboxError(
            .hostUnsupported,
            resource: name,
            "QEMU is not installed",
            hint: "apt-get install qemu-system-x86",
        )
    }
}
