import Foundation
import Testing

@testable import Skills

@Suite("Skills of the host") final class LocalSkillTests {
    private let directory = FileManager.default.temporaryDirectory.appending(path: "skill-\(UUID())")

    deinit {
        try? FileManager.default.removeItem(at: directory)
    }

    private func write(_ path: String, _ text: String, mode: Int = 0o644) throws {
        let file = directory.appending(path: path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
    }

    private static let document = "---\nname: tidy\ndescription: d\n---\n"

    @Test(arguments: ["tidy", "tidy/SKILL.md"]) func `a directory comes with all that is in it`(_ path: String) throws {
        try write("tidy/SKILL.md", Self.document)
        try write("tidy/scripts/run.sh", "#!/bin/sh", mode: 0o755)
        try write("tidy/references/a/b.md", "b")
        try write("tidy/.git/config", "secret")
        let skill = try LocalSkill.read(directory.appending(path: path).path, name: "tidy")
        #expect(skill.files.map(\.path) == ["SKILL.md", "references/a/b.md", "scripts/run.sh"])
        #expect(skill.files.map(\.isExecutable) == [false, false, true])
    }

    @Test func `a text alone is a skill, too`() throws {
        try write("style.md", "# Style\nBe brief.")
        let skill = try LocalSkill.read(directory.appending(path: "style.md").path, name: "style")
        #expect(skill.files.map(\.path) == ["SKILL.md"])
    }

    @Test func `a link in a skill is refused, not followed`() throws {
        try write("tidy/SKILL.md", Self.document)
        let link = directory.appending(path: "tidy/passwd").path
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/etc/passwd")
        let error = #expect(throws: SkillSourceError.self) {
            try LocalSkill.read(directory.appending(path: "tidy").path, name: "tidy")
        }
        #expect(error?.message.contains("passwd is a link or a special file") == true)
    }

    @Test func `what is wrong is told with the file and the field`() throws {
        try write("tidy/SKILL.md", "---\nname: other\n---\n")
        let error = #expect(throws: SkillSourceError.self) {
            try LocalSkill.read(directory.appending(path: "tidy").path, name: "tidy")
        }
        #expect(error?.message.contains("/tidy: field name: is \"other\"") == true)
        #expect(error?.message.contains("field description: is required") == true)
    }

    @Test func `what is not there is told`() {
        let error = #expect(throws: SkillSourceError.self) { try LocalSkill.read("/nowhere/x.md", name: "x") }
        #expect(error?.message == "/nowhere/x.md cannot be read: No such file or directory")
    }
}
