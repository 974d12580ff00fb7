internal import ArgumentParser
internal import Foundation
internal import LinuxSystem
internal import Sandboxing

struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run one program in a fresh box.",
        discussion: """
            Its output and exit status become voidbox's own; a program that dies of signal N gives 128 + N.

            Example: echo 'print(6 * 7)' | voidbox exec -i python3 -
            """,
    )

    @OptionGroup var box: BoxOptions

    @Flag(name: .shortAndLong, help: "Pass standard input on to the program.")
    var interactive = false

    @Option(help: "End the program after this many seconds.")
    var timeout: Int?

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.")
    var command: [String]

    func run() async throws {
        let argv = command.first == "--" ? Array(command.dropFirst()) : command
        var request = box.request(argv)
        request.timeout = timeout.map { .seconds($0) }
        request.keepsInputOpen = interactive
        let exit = try await box.withBox { [request] box in
            let session = try await box.exec(request)
            return try await Streams.connect(session, passesInput: request.keepsInputOpen)
        }
        if exit.timedOut {
            Console.error("voidbox: the program did not finish within \(timeout ?? 0) s and was killed")
        }
        if exit.outOfMemory { Console.error("voidbox: the program ran out of memory; raise --memory-mb") }
        throw ExitCode(exit.status.shellCode)
    }
}

struct ShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell",
        abstract: "Open a terminal in a fresh box.",
        discussion: """
            Without a program it is bash. The box is gone when the program ends.

            Example: voidbox shell --network --mount .:/workspace/src:rw
            """,
    )

    @OptionGroup var box: BoxOptions

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments; bash if there are none.")
    var command: [String] = []

    func run() async throws {
        guard TerminalMode.isTerminal(0), TerminalMode.isTerminal(1) else {
            throw ValidationError("shell needs a terminal; to run a program without one, use: voidbox exec")
        }
        let argv = command.first == "--" ? Array(command.dropFirst()) : command
        var request = box.request(argv.isEmpty ? ["bash", "-l"] : argv)
        let size = TerminalMode.windowSize(of: 1)
        request.terminal = TerminalSize(columns: size?.columns ?? 80, rows: size?.rows ?? 24)
        request.environment["TERM"] = ProcessInfo.processInfo.environment["TERM"] ?? "xterm-256color"
        let exit = try await box.withBox { [request] box in
            let session = try await box.exec(request)
            let raw = try TerminalMode.makeRaw(0)
            let exit = try await Streams.connect(session, passesInput: true, followsWindow: true)
            _ = consume raw
            return exit
        }
        throw ExitCode(exit.status.shellCode)
    }
}
