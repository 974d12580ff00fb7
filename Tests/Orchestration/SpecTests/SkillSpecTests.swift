import Foundation
import Primitives
import Skills
import Testing

@testable import Spec

@Suite("Skills in specifications") struct SkillSpecTests {
    private static let commit = String(repeating: "a", count: 40)

    private func agent(_ skills: String, _ more: String = "", llm: String = "") throws(SpecError) -> Spec {
        let text = "kind: agent\nname: x\n\(llm)agent:\n  prompt: p\n\(more)  skills:\n    - \(skills)\n"
        return try Spec.parse(Array(text.utf8), file: "s.yaml")
    }

    private func skills(_ text: String) throws -> [SkillSpec] {
        guard case .agent(let agent) = try agent(text).body else { return [] }
        return agent.skills
    }

    private func issues(_ skills: String, _ more: String = "", llm: String = "") -> [String] {
        do throws(SpecError) {
            try agent(skills, more, llm: llm).checkCapabilities(file: "s.yaml")
            return []
        } catch {
            return error.issues.map(\.message)
        }
    }

    @Test func `servers are read with where they run`() throws {
        let stdio = MCPServer.Transport.stdio(command: "/opt/a-server.py", args: ["x"], env: ["K": ""])
        #expect(
            try skills("{command: /opt/a-server.py, args: [x], env: {K: ''}, runs_on: host}")
                == [.mcp(MCPServer(name: "a-server", transport: stdio, place: .host))]
        )
        let http = MCPServer.Transport.http(url: "https://e.example/mcp", headers: ["A": "Bearer ${T}"])
        #expect(
            try skills("{name: e, url: 'https://e.example/mcp', headers: {A: 'Bearer ${T}'}}")
                == [.mcp(MCPServer(name: "e", transport: http))]
        )
        let bare = MCPServer.Transport.stdio(command: "notes", args: [], env: [:])
        #expect(try skills("mcp:notes") == [.mcp(MCPServer(name: "notes", transport: bare))])
    }

    @Test func `remote skills are pinned`() throws {
        let reference = try RemoteSkillReference("o/r/s@\(Self.commit)")
        #expect(try skills("remote:o/r/s@\(Self.commit)") == [.remote(reference)])
        #expect(issues("remote:o/r/s") == ["remote:o/r/s is not pinned; write remote:owner/repo/path@COMMIT or @TAG"])
    }

    @Test(arguments: [
        ("mcp:a b", "mcp:a b is one program; for arguments write {command: …, args: […]}"),
        ("{url: 'http://x/mcp'}", "agent.skills[0]: a server with a url needs a name"),
        ("{name: e, url: 'ftp://x'}", "agent.skills[0].url \"ftp://x\""),
        ("{name: 'a b', command: x}", "the MCP server's name \"a b\" must be 1 to 64 letters, digits, - or _"),
        ("{command: x, runs_on: moon}", "agent.skills[0].runs_on: unknown word \"moon\""),
        ("{name: e, url: 'http://x', headers: {'a b': c}}", "cannot be a field of HTTP"),
        ("mcp:a\n    - {command: a}", "there are two MCP servers with the name \"a\"; give one a name"),
        ("remote:o/r/s@v1\n    - {name: s, content: c}", "there are two skills with the name \"s\""),
        ("{image: python:3, mount: /srv/py}", "it would need images of OCI registries, which are not built yet"),
    ])
    func `what cannot be meant is told`(_ skills: String, _ message: String) {
        let found = issues(skills)
        #expect(found.count == 1 && found[0].contains(message), "\(found)")
    }

    @Test func `a schema is checked where it stands`() {
        #expect(issues("agent:claudio", "  output_schema: {type: object, required: [a]}\n") == [])
        #expect(
            issues("agent:claudio", "  output_schema: {properties: {a: {pattern: x}}}\n")
                == ["agent.output_schema/properties/a/pattern: the keyword \"pattern\" is not supported"]
        )
        #expect(issues("agent:claudio", "  output_retries: 1\n") == ["agent.output_retries needs output_schema"])
        #expect(issues("agent:claudio", "  output_schema: {const: 1.5, enum: [null, true, 3]}\n") == [])
    }

    @Test func `a schema in a file is read with the specification`() throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "spec-\(UUID())")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let file = place.appending(path: "s.yaml").path
        let text = "kind: agent\nname: x\nagent: {prompt: p, output_schema: schema.json}\n"
        try Data(text.utf8).write(to: URL(filePath: file))
        #expect(throws: SpecError.self) { try Spec.load(file: file) }
        try Data(#"{"type":"text"}"#.utf8).write(to: place.appending(path: "schema.json"))
        let error = #expect(throws: SpecError.self) { try Spec.load(file: file) }
        #expect(
            error?.description.contains("schema.json#/type: \"text\" is no type") == true,
            "\(String(describing: error))"
        )
        try Data(#"{"type":"object"}"#.utf8).write(to: place.appending(path: "schema.json"))
        #expect(try Spec.load(file: file).name == "x")
    }

    @Test func `an agent needs a provider whose API it speaks`() {
        #expect(issues("agent:codex", llm: "llm: {provider: codex}\n") == [])
        #expect(issues("cli:git", llm: "llm: {provider: codex}\n") == [])
        #expect(issues("agent:codex", llm: "llm: {provider: scripted, script: t}\n") == [])
        #expect(issues("agent:codex").first?.hasPrefix("the agent codex cannot use the provider claude") == true)
        #expect(
            issues("agent:claude-code", llm: "llm: {provider: codex}\n").first?
                .hasPrefix("the agent claude-code cannot use the provider codex") == true
        )
    }
}
