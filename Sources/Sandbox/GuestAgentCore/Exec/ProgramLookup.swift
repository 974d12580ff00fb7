internal import LinuxSystem
internal import TTRPC

/// Finds a program the way `execvp(3)` does, with the environment and the directory that it will have.
struct ProgramLookup {
    let program: String
    let path: String
    let workingDirectory: String

    /// The files to try, in order.
    var candidates: [String] {
        if program.contains("/") { return [absolute(program)] }
        // An empty entry means the working directory.
        return path.split(separator: ":", omittingEmptySubsequences: false).map { entry in
            absolute(entry.isEmpty ? program : "\(entry)/\(program)")
        }
    }

    private func absolute(_ name: String) -> String {
        name.hasPrefix("/") ? name : "\(workingDirectory)/\(name)"
    }

    /// The first candidate that is an executable file.
    func find() throws(TTRPCStatus) -> String {
        var found: String?
        for candidate in candidates {
            // A candidate that cannot be looked at is as good as missing.
            guard let status = try? FileSystem.status(of: candidate), status.kind == .regular else { continue }
            if status.mode & 0o111 != 0 { return candidate }
            if found == nil { found = candidate }
        }
        if let found { throw TTRPCStatus(.permissionDenied, "program \"\(found)\" is not executable") }
        throw TTRPCStatus(
            .notFound,
            program.contains("/")
                ? "program \"\(program)\" does not exist" : "program \"\(program)\" is not in PATH (\(path))",
        )
    }
}
