import Foundation
import TestSupport
import Testing

/// The command line of `exec` and `shell`: ours up to the program, the program's from there on.
@Suite("voidbox exec, its arguments", .timeLimit(.minutes(10))) struct ExecArgumentTests {
    private func mock(_ arguments: String...) async throws -> VoidBoxProcess.Result {
        try await VoidBoxProcess.start(["exec", "--mode", "mock"] + arguments).end()
    }

    @Test(arguments: ["exec", "shell"]) func `help is help and not a program`(_ command: String) async throws {
        for option in ["--help", "-h"] {
            let result = try await VoidBoxProcess.run(command, option)
            #expect(result.status == 0)
            #expect(result.output.contains("USAGE: voidbox \(command)"))
        }
    }

    @Test(arguments: ["exec", "shell"]) func `an option that there is not is wrong usage`(
        _ command: String
    ) async throws {
        let result = try await VoidBoxProcess.run(command, "--memory", "512", "true")
        #expect(result.status == 2)
        #expect(result.errors.contains("unknown option \"--memory\""))
    }

    @Test func `what follows the program is the program's`() async throws {
        #expect(try await mock("echo", "--help", "-i", "--", "x").output == "--help -i -- x\n")
        #expect(try await mock("--memory-mb", "512", "echo", "x").output == "x\n")
        #expect(try await mock("--", "echo", "-n", "--").output == "-n --\n")
        #expect(try await mock("--", "--help").status == 127, "a program of that name")
        #expect(try await mock("--").status == 2)
    }

    @Test func `a time limit is a number of seconds that makes sense`() async throws {
        for value in ["0", "-5", "604801", "99999999999999999999"] {
            #expect(try await mock("--timeout=\(value)", "true").status == 2, "\(value)")
        }
    }

    @Test func `a program that is not there gives 127`() async throws {
        #expect(try await mock("no-such-program").status == 127)
    }

    @Test func `a log level that there is not, or where nothing is logged, is wrong usage`() async throws {
        let file = Repository.example("sandbox.yaml")
        let unknown = try await VoidBoxProcess.run("run", "--file", file, "--log-level", "bogus")
        #expect(unknown.status == 2)
        #expect(unknown.errors.contains("unknown level \"bogus\""))
        #expect(try await VoidBoxProcess.run("validate", "--file", file, "--log-level", "debug").status == 2)
        #expect(try await mock("--log-level", "debug", "true").status == 2)
    }
}
