import Testing

@testable import Skills

@Suite("Skill document") struct SkillDocumentTests {
    private func document(_ fields: String) throws(SkillViolation) -> SkillDocument {
        try SkillDocument(parsing: "---\n\(fields)\n---\n# Instructions\n")
    }

    private func issues(_ fields: String) -> [String] {
        do throws(SkillViolation) {
            _ = try document(fields)
            return []
        } catch {
            return error.issues.map(\.description)
        }
    }

    @Test func `every field of the specification is read`() throws {
        let skill = try document(
            """
            name: pdf-processing
            description: Extracts text from *.pdf files & fills forms.
            license: Apache-2.0
            compatibility: needs poppler
            metadata: {author: example-org, version: "1.0"}
            allowed-tools: Bash(git:*) Read
            """
        )
        #expect(skill.name.description == "pdf-processing")
        #expect(skill.description == "Extracts text from *.pdf files & fills forms.")
        #expect(skill.license == "Apache-2.0" && skill.compatibility == "needs poppler")
        #expect(skill.metadata == ["author": "example-org", "version": "1.0"])
        #expect(skill.allowedTools == ["Bash(git:*)", "Read"])
        #expect(skill.unknownFields == [])
    }

    @Test func `tools may be a list`() throws {
        let skill = try document("name: a\ndescription: b\nallowed-tools:\n  - Bash(git:*)\n  - Read")
        #expect(skill.allowedTools == ["Bash(git:*)", "Read"])
    }

    @Test(arguments: [
        ("description: d", "field name: is required"),
        ("name: a", "field description: is required"),
        ("name: a\ndescription: ''", "field description: must not be empty"),
        ("name: a\ndescription: [x]", "field description: must be text"),
        ("name: a\ndescription: d\nmetadata: x", "field metadata: must be a map of texts"),
        ("name: a\ndescription: d\nmetadata: {k: [1]}", "field metadata: must be a map of texts; \"k\" is none"),
        ("name: a\ndescription: d\nallowed-tools: {a: b}", "field allowed-tools: must be text or a list of texts"),
        ("- a\n- b", "the front matter must be a map of fields, such as \"name: my-skill\""),
        ("name: a\nname: b\ndescription: d", "the front matter has a field twice: name"),
        (
            "name: a\ndescription: &x d\nlicense: *x",
            "line 4 of the front matter has an alias (*name); write it out"
        ),
    ])
    func `what is wrong is told with its field`(_ fields: String, _ issue: String) {
        #expect(issues(fields) == [issue])
    }

    @Test(arguments: ["PDF", "-pdf", "pdf-", "pdf--x", "pdf x", "pdf_x", "é", String(repeating: "a", count: 65)])
    func `a name that is none is told`(_ name: String) {
        let found = issues("name: \"\(name)\"\ndescription: d")
        #expect(found.count == 1 && found[0].hasPrefix("field name: \"\(name)\" must be 1 to 64"))
    }

    @Test func `lengths are those of the specification`() {
        let long = String(repeating: "é", count: 1024)
        #expect(issues("name: a\ndescription: \(long)") == [])
        #expect(
            issues("name: a\ndescription: \(long)é") == ["field description: has 1025 characters; the limit is 1024"]
        )
        let compatibility = String(repeating: "c", count: 501)
        #expect(
            issues("name: a\ndescription: d\ncompatibility: \(compatibility)")
                == ["field compatibility: has 501 characters; the limit is 500"]
        )
    }

    @Test func `all that is wrong is told at once`() {
        #expect(issues("name: A\nlicense: [x]").count == 3)
    }

    @Test(arguments: ["no front matter", "---\nname: a\n", "--- \nname: a\n---\n"])
    func `a text without front matter is no document`(_ text: String) {
        #expect(throws: SkillViolation.self) { try SkillDocument(parsing: text) }
    }

    @Test func `aliases within aliases cost nothing`() {
        var lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        for level in 1..<30 {
            let alias = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            lines.append("a\(level): &a\(level) [\(alias)]")
            lines.append("? *a\(level)\n: x")
        }
        #expect(issues(lines.joined(separator: "\n")).first?.contains("has an alias") == true)
    }

    @Test func `deep nesting is an error`() {
        #expect(issues("a: " + String(repeating: "[", count: 60_000)).count == 1)
    }
}

@Suite("Remote skill reference") struct RemoteSkillReferenceTests {
    private static let commit = "0123456789abcdef0123456789abcdef01234567"

    @Test func `a path and a commit are read`() throws {
        let reference = try RemoteSkillReference("obra/superpowers/skills/brainstorming@\(Self.commit)")
        #expect(reference.owner == "obra" && reference.repository == "superpowers")
        #expect(reference.path == ["skills", "brainstorming"] && reference.name == "brainstorming")
        #expect(reference.pin == .commit(Self.commit))
    }

    @Test func `a tag may have a slash, and a repository may be the skill`() throws {
        let reference = try RemoteSkillReference("owner/My-Skill@release/1.0")
        #expect(reference.pin == .tag("release/1.0") && reference.path == [] && reference.name == "my-skill")
        #expect(reference.description == "owner/My-Skill@release/1.0")
    }

    @Test(arguments: [
        "owner/repo/skill", "owner@v1", "owner/repo/skill@", "owner/repo/../x@v1", "owner//repo@v1",
        "owner/repo/Skill Name@v1", "owner/repo/skill@v1/../main", "owner/repo/UPPER@v1", "a/b?c/d@v1",
    ])
    func `what is not pinned or no path is refused`(_ text: String) {
        #expect(throws: RemoteSkillReference.Malformed.self) { try RemoteSkillReference(text) }
    }
}

@Suite("MCP server names") struct MCPServerTests {
    @Test func `a server is called after its program`() {
        #expect(MCPServer.name(forCommand: "/opt/tools/my server.py") == "my-server")
        #expect(MCPServer.name(forCommand: "uvx") == "uvx")
        #expect(!MCPServer.isName(MCPServer.name(forCommand: "/")))
    }
}
