internal import ArgumentParser
internal import Foundation
internal import HostSession
internal import LinuxSystem
internal import Sandboxing

struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run one program in a fresh box.",
        discussion: """
            Options end at the program's name, or at --; what follows is the program's. \
            Its output goes to stdout and stderr byte for byte, control characters too.

            Example: echo 'print(6 * 7)' | voidbox exec -i python3 -

            Exit status: the program's own, and
              124  it was killed at its --timeout
              125  the box failed
              126  the program may not be executed
              127  the program was not found
              128 + N  it died of signal N
              2  wrong usage    3  this host cannot run boxes    130  interrupted
            """,
    )

    /// A week.
    private static let maxTimeout = 604_800

    @OptionGroup var box: BoxOptions

    @Flag(name: .shortAndLong, help: "Pass standard input on to the program.")
    var interactive = false

    @Option(help: "End the program after this many seconds, 1 to 604800.")
    var timeout: Int?

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.")
    var command: [String]

    func validate() throws {
        try PassedCommand.check(command, of: self)
        if let timeout, !(1...Self.maxTimeout).contains(timeout) {
            throw ValidationError("--timeout must be 1 to \(Self.maxTimeout) seconds")
        }
        if PassedCommand.argv(command).isEmpty { throw ValidationError("there is no program to run") }
    }

    func run() async throws {
        var request = box.request(PassedCommand.argv(command))
        request.timeout = timeout.map { .seconds($0) }
        request.keepsInputOpen = interactive
        let exit = try await box.withBox { [request] box in
            let session = try await box.exec(request)
            return try await Streams.connect(session, passesInput: request.keepsInputOpen)
        }
        if exit.timedOut {
            Console.error("voidbox: the program did not finish within \(timeout ?? 0) s and was killed")
        }
        if exit.outOfMemory {
            Console.error("voidbox: memory ran out, and a process of the program was killed; raise --memory-mb")
        }
        throw ExitStatus(of: exit)
    }
}

/// What stands on the command line from the first argument on that is no option of ours.
enum PassedCommand {
    /// ArgumentParser takes an option that it does not know for the program: that is a usage error, or a request for help.
    static func check(_ command: [String], of owner: some ParsableCommand) throws {
        guard let first = command.first, first.hasPrefix("-"), first != "--" else { return }
        if ["-h", "--help"].contains(first) { throw CleanExit.helpRequest(owner) }
        throw ValidationError(
            "unknown option \"\(first)\"; options come before the program, and a program whose name starts with - after --"
        )
    }

    static func argv(_ command: [String]) -> [String] {
        command.first == "--" ? Array(command.dropFirst()) : command
    }
}
