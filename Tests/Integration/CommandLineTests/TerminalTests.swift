import Foundation
import TestSupport
import Testing

@Suite("voidbox shell", .needsBox, .takesBoxSlot, .timeLimit(.minutes(20))) struct TerminalTests {
    /// Runs `voidbox shell` in a terminal that does these steps: see `Tests/Support/Programs/terminal_dialogue.py`.
    private func shell(_ arguments: [String], _ steps: String) async throws -> VoidBoxProcess.Result {
        let script = Repository.root.appending(path: "Tests/Support/Programs/terminal_dialogue.py").path
        let dialogue = ["/usr/bin/env", "python3", script, "300", steps, try VoidBoxProcess.program, "shell"]
        return try await VoidBoxProcess.start(arguments, by: dialogue).end()
    }

    @Test func `an agent's own user interface is shown, and is talked to`() async throws {
        let result = try await shell(
            ["--file", Repository.example("interactive.yaml")],
            """
            [{"wait": "bypass permissions on"}, {"type": "hello there"}, {"wait": "hello there"}, {"type": "\\r"},
             {"wait": "I am its user sandbox"}, {"resize": [90, 25]}, {"type": "/exit\\r"}, {"end": true}]
            """
        )
        #expect(result.status == 0, "\(result.output) \(result.errors)")
    }

    @Test func `a program's terminal has the user's size and keys, and its status is passed on`() async throws {
        let result = try await shell(
            ["--file", Repository.example("interactive.yaml"), "sh"],
            """
            [{"wait": "$"}, {"type": "stty size\\r"}, {"wait": "30 100"}, {"resize": [90, 25]}, {"type": "sleep 1000\\r"},
             {"wait": "sleep 1000"}, {"type": "\\u0003"}, {"type": "stty size\\r"}, {"wait": "25 90"},
             {"type": "exit 7\\r"}, {"end": true}]
            """
        )
        #expect(result.status == 7, "\(result.output) \(result.errors)")
    }

    @Test func `an agent that needs a terminal says how to get one`() async throws {
        let result = try await VoidBoxProcess.run("run", "--file", Repository.example("interactive.yaml"))
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains("voidbox shell --file"), "\(result.errors)")
    }
}
