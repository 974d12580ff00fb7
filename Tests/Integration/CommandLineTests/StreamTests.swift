import Foundation
import LinuxSystem
import TestSupport
import Testing

/// Standard streams as a shell may leave them.
@Suite("voidbox and its streams", .timeLimit(.minutes(10))) struct StreamTests {
    /// The end of a pipe that nobody reads.
    private func unread() throws -> FileHandle {
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        return pipe.fileHandleForWriting
    }

    @Test(arguments: [["version"], ["--help"], ["exec", "--mode", "mock", "echo", "x"]])
    func `a reader that has gone ends it quietly with 141`(_ arguments: [String]) async throws {
        let result = try await VoidBoxProcess.start(arguments, standardOutput: try unread()).end()
        #expect(result.status == 141)
        #expect(!result.errors.contains("error"), "\(result.errors)")
    }

    @Test(arguments: ["/dev/full", "&-"]) func `output that cannot be written is one clear line`(
        _ target: String
    ) async throws {
        let result = try await VoidBoxProcess.run(script: "\"$VOIDBOX\" version >\(target)")
        #expect(result.status == 1)
        #expect(result.errors.hasPrefix("error: stdout cannot be written: "))
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test func `nobody reading stderr does not end a run`() async throws {
        let arguments = ["run", "--mode", "mock", "--file", Repository.example("workflow.yaml")]
        let result = try await VoidBoxProcess.start(arguments, standardError: try unread()).end()
        #expect(result.status == 0)
        #expect(result.output.contains("success:   true"))
    }

    @Test(.timeLimit(.minutes(10))) func `streams that are closed at the start are not taken for files`() async throws {
        let noInput = try await VoidBoxProcess.run(script: "\"$VOIDBOX\" exec --mode mock -i cat <&-")
        #expect(noInput.status == 0 && noInput.output.isEmpty)
        let nothing = try await VoidBoxProcess.run(script: "\"$VOIDBOX\" exec --mode mock true <&- >&- 2>&-")
        #expect(nothing.status == 0)
    }

    @Test func `what a specification holds cannot steer the terminal`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.write(
            "steers.yaml",
            #"""
            kind: workflow
            name: "w\e]0;pwned\a"
            workflow:
              steps:
                - {name: "s\e[31m\u202E", run: {program: echo, args: ["\u009b2J"]}}
            """#,
        )
        let human = try await VoidBoxProcess.run("run", "--mode", "mock", "--file", file)
        #expect(human.errors.contains(#"step s\u{1B}[31m\u{202E} started"#), "\(human.errors)")
        #expect(!human.errors.steersTerminal)
        let json = try await VoidBoxProcess.run("run", "--mode", "mock", "--file", file, "--output", "json")
        #expect(!json.output.steersTerminal)
        #expect(try json.json["output"] as? String == "\u{9B}2J\n")
        let typo = try directory.write("typo.yaml", "kind: agent\nname: x\n\"pro\\em\": 1\nagent: {prompt: x}\n")
        let problem = try await VoidBoxProcess.run("validate", "--file", typo)
        #expect(problem.status == 2 && !problem.errors.steersTerminal)
    }
}

extension String {
    fileprivate var steersTerminal: Bool {
        unicodeScalars.contains { $0.properties.generalCategory == .control && $0 != "\n" }
    }
}
