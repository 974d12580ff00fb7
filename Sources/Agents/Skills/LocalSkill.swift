internal import LinuxSystem

/// Skills of this host: a file with text, or a directory with `SKILL.md`.
package enum LocalSkill {
    /// - Parameters:
    ///   - path: Of a text file, a directory with `SKILL.md`, or the `SKILL.md` of a directory.
    ///   - name: What the skill must be called.
    package static func read(_ path: String, name: String) throws -> SkillBundle {
        do {
            if try FileSystem.status(of: path).kind == .directory { return try directory(path, name: name) }
            if path.hasSuffix("/" + SkillBundle.documentPath) {
                return try directory(String(path.dropLast(SkillBundle.documentPath.count + 1)), name: name)
            }
            let bytes = try FileSystem.read(path, limit: SkillDocument.maxBytes)
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw SkillSourceError("\(path) is not UTF-8 text", hint: "a skill is a Markdown file")
            }
            return try SkillBundle(name: name, text: text)
        } catch let error as SyscallError {
            throw SkillSourceError("\(path) cannot be read: \(error.errno)")
        } catch let error as SkillViolation {
            throw SkillSourceError("\(path): \(error)", hint: "see https://agentskills.io/specification")
        }
    }

    private static func directory(_ path: String, name: String) throws -> SkillBundle {
        var files: [SkillBundle.File] = []
        var size = 0
        try collect(try Directory(path), "", into: &files, &size)
        return try SkillBundle(directory: name, files: files)
    }

    /// Links are not followed: what they lead to may not be meant for a box.
    private static func collect(
        _ directory: consuming Directory,
        _ prefix: String,
        into files: inout [SkillBundle.File],
        _ size: inout Int,
    ) throws {
        for name in try directory.names().sorted() where name != ".git" {
            let status = try directory.status(of: name)
            let path = prefix + name
            switch status.kind {
            case .directory:
                guard prefix.split(separator: "/").count < 16 else {
                    throw SkillViolation("\(path) is nested too deeply")
                }
                try collect(try directory.openDirectory(name), path + "/", into: &files, &size)
            case .regular:
                size += Int(clamping: status.size)
                guard files.count < SkillBundle.maxFiles, size <= SkillBundle.maxBytes else {
                    throw SkillViolation(
                        "the skill has more than \(SkillBundle.maxFiles) files or \(SkillBundle.maxBytes >> 20) MiB"
                    )
                }
                let bytes = try directory.read(name, limit: SkillBundle.maxBytes)
                files.append(.init(path: path, bytes: bytes, isExecutable: status.mode & 0o111 != 0))
            default:
                throw SkillViolation("\(path) is a link or a special file, which a skill cannot have")
            }
        }
    }
}
