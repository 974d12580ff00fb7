import Testing

@testable import Skills

@Suite("Skill bundle") struct SkillBundleTests {
    private static let document = SkillBundle.File(
        path: "SKILL.md",
        bytes: Array("---\nname: x\ndescription: d\n---\ntext".utf8)
    )

    private func text(_ bundle: SkillBundle) -> String { String(decoding: bundle.files[0].bytes, as: UTF8.self) }

    @Test(arguments: [
        ("# Title\n\nDo \"this\" \\ that: & *x*\n", #""Do \"this\" \\ that: & *x*""#),
        ("First\r\nSecond\r\n", #""First""#),
        ("a\tb\u{1B}[31m\u{85}c\n", #""a b [31m""#),
        ("\n  \n# only a title\n", #""A skill""#),
    ])
    func `front matter is made of the first line, whatever is in it`(_ content: String, _ description: String) throws {
        let skill = try SkillBundle(name: "123", text: content)
        #expect(text(skill) == "---\nname: \"123\"\ndescription: \(description)\n---\n\n\(content)")
    }

    @Test(arguments: [
        "---\nname: x\ndescription: y\n---\ntext", "---\r\nname: x\r\ndescription: y\r\n---\r\ntext",
    ])
    func `front matter of its own is kept`(_ content: String) throws {
        #expect(text(try SkillBundle(name: "x", text: content)) == content)
    }

    @Test func `a directory has its document first and its files by path`() throws {
        let script = SkillBundle.File(path: "scripts/run.sh", bytes: [1], isExecutable: true)
        let asset = SkillBundle.File(path: "assets/a", bytes: [2])
        let skill = try SkillBundle(directory: "x", files: [script, Self.document, asset])
        #expect(skill.files.map(\.path) == ["SKILL.md", "assets/a", "scripts/run.sh"])
        #expect(skill.files.map(\.isExecutable) == [false, false, true])
    }

    @Test(arguments: ["../x", "/etc/passwd", "a//b", "a/../b", "", "a\0b", "SKILL.md"])
    func `a file that would not be in the directory is refused`(_ path: String) {
        let file = SkillBundle.File(path: path, bytes: [])
        #expect(throws: SkillViolation("\"\(path)\" cannot be a file of a skill")) {
            try SkillBundle(directory: "x", files: [Self.document, file])
        }
    }

    @Test func `a directory without SKILL.md, or with one of another name, is no skill`() {
        #expect(throws: SkillViolation("there is no SKILL.md")) { try SkillBundle(directory: "x", files: []) }
        let message = "is \"x\", but the skill's directory is \"y\"; they must be the same"
        #expect(throws: SkillViolation([.init("name", message)])) {
            try SkillBundle(directory: "y", files: [Self.document])
        }
    }

    @Test func `fields that only some agents know are a warning`() throws {
        let skill = try SkillBundle(name: "x", text: "---\nname: x\ndescription: d\nmodel: opus\n---\n")
        #expect(skill.warnings == ["skill x: fields that the Agent Skills specification does not have: model"])
    }
}
