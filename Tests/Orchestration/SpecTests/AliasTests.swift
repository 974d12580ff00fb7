import Testing

@testable import Spec

@Suite("Aliases of a specification") struct AliasTests {
    private func prompt(of text: String) throws -> String? {
        guard case .agent(let agent) = try Spec.parse(Array(text.utf8), file: "s.yaml").body else { return nil }
        return agent.prompt
    }

    private func problem(_ text: String) -> String? {
        #expect(throws: SpecError.self) { try Spec.parse(Array(text.utf8), file: "s.yaml") }?.description
    }

    @Test func `a prompt in Markdown is text, whatever stars and ampersands it has`() throws {
        let lines = (0..<200).map { "* item \($0): naming & style, *very* carefully, *see &this* and &that *too\n" }
        let block = lines.map { "    \($0)" }.joined()
        #expect(try prompt(of: "kind: agent\nname: x\nagent:\n  prompt: |\n\(block)") == lines.joined())
        let quoted = lines.map { "    \($0)" }.joined()
        #expect(try prompt(of: "kind: agent\nname: x\nagent:\n  prompt: \"\(quoted)  \"\n")?.contains("*too") == true)
        #expect(
            try prompt(of: "kind: agent\nname: x\nagent:\n  # *one &two *three\n  prompt: a *b &c *d\n") == "a *b &c *d"
        )
    }

    @Test func `aliases stand for what they name, next to text that looks like them`() throws {
        let text = """
            kind: agent
            name: &name x
            agent:
              prompt: |
                int *p = &name; f(*name, *p);
              skills:
                - &skill {name: a, content: *name}
                - {name: b, content: *name }
            """
        let spec = try Spec.parse(Array(text.utf8), file: "s.yaml")
        guard case .agent(let agent) = spec.body else { return }
        #expect(agent.prompt == "int *p = &name; f(*name, *p);\n")
        #expect(agent.skills == [.inline(name: "a", content: "x"), .inline(name: "b", content: "x")])
    }

    @Test func `aliases that multiply are refused at the line where they become too many`() {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            bomb += "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", "))]\n"
        }
        let told = problem(bomb)
        #expect(told?.hasPrefix("s.yaml:6:") == true, "\(told ?? "")")
        #expect(told?.contains("aliases (*name) written out") == true)
        // The same where only the parser would see it, because it is all in keys or hidden behind text.
        for hidden in ["x: \"\n  k: |\n    \"\n", "x: [ \"'\", '\"', a ]\n", "# | \"\nx: >-\n    a: |\ny: z\n"] {
            #expect(problem(hidden + bomb)?.contains("aliases (*name) written out") == true)
        }
    }

    @Test(arguments: [
        ("a: &a [x]\n? *a\n: y\n", "s.yaml:2:3: a key must be text"),
        ("a: &a x\nb: {? [*a, *a] : y}\n", "a key must be text"),
        ("a: &a x\nbé: [é, *b]\n", "s.yaml:2:9: the alias *b stands for nothing: no &b before it"),
        ("a: &a [*a]\n", "the alias *a stands for nothing"),
        ("a: &a x\nb: [*a\n*c}\n", "s.yaml:3:1: invalid YAML"),
        ("a: &a x\nb: {*a: 1, *a: 2}\n", "a key must be text"),
        ("a: &a x\nb: *a\nb: *a\n", "s.yaml:2:1: duplicate key \"b\""),
    ])
    func `what is wrong with an alias is told where it is`(_ text: String, _ message: String) {
        let told = problem(text)
        #expect(told?.contains(message) == true, "\(told ?? "")")
        #expect(told?.contains("voidbox") == false, "no name of ours")
    }

    @Test func `a long document with many aliases is refused before it costs minutes`() {
        let text = "a: &a x\nb: [" + Array(repeating: "*a, ", count: 50_000).joined() + "*a]\n"
        let start = ContinuousClock.now
        #expect(problem(text)?.contains("too many aliases") == true)
        #expect(ContinuousClock.now - start < .seconds(60))
    }
}
