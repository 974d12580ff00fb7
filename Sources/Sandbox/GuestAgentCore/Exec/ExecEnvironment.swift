internal import TTRPC

/// The variables of a program, weakest first: the agent's own defaults, the box's, the call's.
struct ExecEnvironment {
    /// The system's directories win over those of mounted disks: a disk adds commands and replaces none.
    static let systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    let boxDefaults: [String: String]
    let diskBinaries: [String]

    func variables(for account: Account, hasTerminal: Bool, call: [String: String]) -> [String: String] {
        var variables = [
            "PATH": ([Self.systemPath] + diskBinaries).joined(separator: ":"),
            "HOME": account.home,
            "USER": account.name,
            "LOGNAME": account.name,
            "SHELL": account.shell,
            "LANG": "C.UTF-8",
        ]
        if hasTerminal { variables["TERM"] = "xterm-256color" }
        variables.merge(boxDefaults) { _, new in new }
        variables.merge(call) { _, new in new }
        return variables
    }

    /// Throws for what `execve` could not carry.
    static func check(_ variables: [String: String]) throws(TTRPCStatus) {
        for (name, value) in variables where name.isEmpty || name.contains("=") || (name + value).utf8.contains(0) {
            let shown = name.isEmpty ? "with an empty name" : name.prefix(100).debugDescription
            throw TTRPCStatus(.invalidArgument, "environment variable \(shown) has a name or value that cannot be")
        }
    }
}
