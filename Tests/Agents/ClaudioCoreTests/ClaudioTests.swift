import ClaudioCore
import Testing

@Suite("claudio") struct ClaudioTests {
    private func script(_ environment: [String: String]) -> ClaudioScript {
        ClaudioScript(
            environment: Dictionary(uniqueKeysWithValues: environment.map { ("MOCK_CLAUDE_\($0.key)", $0.value) }),
            mcpServers: ["search"]
        )
    }

    @Test(arguments: [("simple", 1, 1), ("multi_tool", 5, 3), ("error", 2, 2), ("heavy", 20, 10), ("custom", 3, 2)])
    func `a scenario has its tools and turns`(_ name: String, _ tools: Int, _ turns: Int) {
        let script = script(["SCENARIO": name])
        #expect(script.tools == tools && script.turns == turns)
        #expect(script.isError == (name == "error"))
    }

    @Test func `tools come in their order, the servers' last`() {
        let names = (0..<6).map { script([:]).toolLines($0)[0] }
        for (line, name) in zip(names, ["Read", "Write", "Bash", "Read", "Write", "mcp__search"]) {
            #expect(line.contains("\"name\":\"\(name)\""))
        }
    }

    @Test func `variables change what it does`() {
        let script = script(["TOOLS": "7", "COST": "1.5", "CRASH": "exit:4", "OUTPUT": "/a=b=c"])
        #expect(script.tools == 7 && script.cost == 1.5 && script.crash == .exit(4))
        #expect(script.outputFile?.path == "/a" && script.outputFile?.content == "b=c")
    }

    @Test func `it takes Claude Code's arguments`() {
        let arguments = ["claude", "-p", "--output-format", "stream-json", "--verbose", "--model", "m"]
        #expect(ClaudioArguments(arguments).command == .run(prompt: nil))
        #expect(ClaudioArguments(arguments + ["the prompt"]).command == .run(prompt: "the prompt"))
        #expect(ClaudioArguments(["claude", "--version"]).command == .version)
        #expect(ClaudioArguments(["claude", "plan"]).command == .plan)
    }
}
