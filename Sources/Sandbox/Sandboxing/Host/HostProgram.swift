internal import LinuxSystem

/// A program of this host that runs machines.
package struct HostProgram: Sendable {
    package let name: String
    /// The environment variable that wins over all places.
    package let variable: String
    /// Whether it is looked for beside this program, before `PATH`.
    package let isOfThisInstallation: Bool
    /// For the error where there is none.
    package let absence: String
    package let hint: String

    package init(name: String, variable: String, isOfThisInstallation: Bool, absence: String, hint: String) {
        self.name = name
        self.variable = variable
        self.isOfThisInstallation = isOfThisInstallation
        self.absence = absence
        self.hint = hint
    }

    /// Its path. Throws `hostUnsupported` where there is none.
    package func locate(environment: [String: String]) throws(SandboxError) -> String {
        if let path = environment[variable], !path.isEmpty {
            if HostFacts.mayExecute(path) { return path }
            throw SandboxError(.hostUnsupported, resource: path, "\(variable) names a file that cannot be executed")
        }
        let path = environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        let own = isOfThisInstallation ? [HostFacts.programDirectory].compactMap(\.self) : []
        for directory in own + path.split(separator: ":").map(String.init) {
            if HostFacts.mayExecute("\(directory)/\(name)") { return "\(directory)/\(name)" }
        }
        throw SandboxError(.hostUnsupported, resource: name, absence, hint: hint)
    }
}
