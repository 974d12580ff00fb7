internal import ArgumentParser
internal import HostSession
internal import LinuxSystem
internal import Runs

struct AttachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Come back to a shell that was left.",
        discussion: """
            Shows the end of what its program has written and goes on with it, as voidbox shell did. It is one terminal's at a \
            time: another one that shows it is told so and ends. Returns the program's own status, or 0 when it is left again.
            """,
    )

    @OptionGroup var global: GlobalOptions

    @OptionGroup var keys: DetachOptions

    @Argument(help: "A run's id, or the beginning of one.", completion: RecordedRuns.completion)
    var run: String

    func run() async throws {
        guard HostTerminal.isThere else {
            throw ValidationError("attach needs a terminal; to read what a run said, use: voidbox logs")
        }
        let status = try await global.telling {
            let store = try RecordedRuns.store()
            let id = try store.resolve(run)
            guard store.isRunning(id) else { throw RunFailure(.usage, "the run \(id) has ended") }
            let directory = try Directory(store.directoryOfRun(id))
            guard let socket = try OwnedFD.connected(toUnixSocket: RunFiles.terminal, in: directory) else {
                throw RunFailure(
                    .usage,
                    "the run \(id) has no terminal",
                    hint: "only voidbox shell has one; voidbox logs -f \(id) follows a run"
                )
            }
            return try await TerminalClient(channel: try TerminalChannel(socket), keys: try keys.keys()).run()
        }
        throw status
    }
}

/// How a terminal is left.
struct DetachOptions: ParsableArguments {
    @Option(help: "The keys that leave the terminal while its program goes on, such as ctrl-p,ctrl-q; empty for none.")
    var detachKeys = DetachKeys.standard

    func validate() throws { _ = try keys() }

    func keys() throws -> DetachKeys {
        guard let keys = DetachKeys(detachKeys) else {
            throw ValidationError("--detach-keys \(detachKeys): expected keys such as ctrl-p,ctrl-q or ctrl-]")
        }
        return keys
    }
}
