import Testing

@testable import AgentRuntimes

@Suite("Provisioned skill") struct ProvisionedSkillTests {
    @Test(arguments: [
        ("# Title\n\nDo \"this\" \\ that: & *x*\n", #""Do \"this\" \\ that: & *x*""#),
        ("First\r\nSecond\r\n", #""First""#),
        ("a\tb\u{1B}[31m\u{85}c\n", #""a b [31m""#),
        ("\n  \n# only a title\n", #""A skill""#),
    ])
    func `front matter is made of the first line, whatever is in it`(_ content: String, _ description: String) {
        let skill = ProvisionedSkill(name: "123", content: content)
        #expect(skill.content == "---\nname: \"123\"\ndescription: \(description)\n---\n\n\(content)")
    }

    @Test(arguments: ["---\nname: x\n---\ntext", "---\r\nname: x\r\n---\r\ntext"])
    func `front matter of its own is kept`(_ content: String) {
        #expect(ProvisionedSkill(name: "x", content: content).content == content)
    }
}
