/// A skill as the agent finds it: a directory with `SKILL.md` and what belongs to it, such as `scripts/`.
package struct SkillBundle: Hashable, Sendable {
    package static let maxFiles = 500
    package static let maxBytes = 32 << 20
    package static let documentPath = "SKILL.md"

    package struct File: Hashable, Sendable {
        /// Relative to the skill's directory.
        package let path: String
        package let bytes: [UInt8]
        package let isExecutable: Bool

        package init(path: String, bytes: [UInt8], isExecutable: Bool = false) {
            self.path = path
            self.bytes = bytes
            self.isExecutable = isExecutable
        }
    }

    package let name: String
    /// `SKILL.md` first, the others by path.
    package let files: [File]
    /// What its owner should know.
    package let warnings: [String]

    /// A whole directory, whose name the skill's must be.
    package init(directory name: String, files: [File]) throws(SkillViolation) {
        guard files.count <= Self.maxFiles else {
            throw SkillViolation("the skill has \(files.count) files; the limit is \(Self.maxFiles)")
        }
        let size = files.reduce(0) { $0 + $1.bytes.count }
        guard size <= Self.maxBytes else {
            throw SkillViolation("the skill has \(size) bytes; the limit is \(Self.maxBytes >> 20) MiB")
        }
        var paths: Set<String> = []
        for file in files {
            guard Self.isInside(file.path), paths.insert(file.path).inserted else {
                throw SkillViolation("\"\(file.path)\" cannot be a file of a skill")
            }
        }
        guard let document = files.first(where: { $0.path == Self.documentPath }) else {
            throw SkillViolation("there is no SKILL.md")
        }
        guard let text = String(validating: document.bytes, as: UTF8.self) else {
            throw SkillViolation("SKILL.md is not UTF-8 text")
        }
        let parsed = try SkillDocument(parsing: text, directory: name)
        self.name = name
        self.files = [document] + files.filter { $0.path != Self.documentPath }.sorted { $0.path < $1.path }
        warnings = Self.warnings(parsed)
    }

    /// One text of instructions. Front matter is made for it where it has none.
    package init(name: String, text: String) throws(SkillViolation) {
        do throws(SkillName.Violation) {
            _ = try SkillName(name)
        } catch {
            throw SkillViolation([.init("name", "\(error)")])
        }
        let content = SkillDocument.hasFrontMatter(text) ? text : Self.frontMatter(name: name, for: text) + text
        let parsed = try SkillDocument(parsing: content, directory: name)
        self.name = name
        files = [File(path: Self.documentPath, bytes: Array(content.utf8))]
        warnings = Self.warnings(parsed)
    }

    private static func warnings(_ document: SkillDocument) -> [String] {
        document.unknownFields.isEmpty
            ? []
            : [
                "skill \(document.name): fields that the Agent Skills specification does not have: "
                    + document.unknownFields.joined(separator: ", ")
            ]
    }

    /// A relative path that stays below the directory.
    package static func isInside(_ path: String) -> Bool {
        !path.isEmpty && path.utf8.count <= 1024 && !path.utf8.contains(0)
            && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
                !$0.isEmpty && $0 != "." && $0 != ".."
            }
    }

    // MARK: Front matter for what has none

    private static func frontMatter(name: String, for content: String) -> String {
        let lines = content.split(whereSeparator: \.isNewline)
        let summary = lines.first { !$0.allSatisfy(\.isWhitespace) && !$0.hasPrefix("#") } ?? "A skill"
        return "---\nname: \(quoted(name[...]))\ndescription: \(quoted(summary.prefix(200)))\n---\n\n"
    }

    /// As text of YAML whatever it looks like, on one line.
    private static func quoted(_ text: Substring) -> String {
        let escaped = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case _ where scalar.properties.generalCategory == .control || scalar == "\u{2028}" || scalar == "\u{2029}":
                " "
            default: String(scalar)
            }
        }
        return "\"\(escaped.joined())\""
    }
}
